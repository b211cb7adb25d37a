import { Args, Context, Field, ID, InputType, Int, Mutation, ObjectType, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { MachineConsoleService } from './machine-console.service.js';
import { loadVirtualMachine, VirtualMachine } from './virtual-machine.graphql.js';

@InputType({ description: 'Whose console to read. There is no plan of it: applied later, it could not show anything.' })
export class ReadVirtualMachineConsoleInput {
  @Field(() => ID, { description: 'The machine.' })
  readonly id!: string;

  @Field(() => Int, { nullable: true, description: 'How many of the last lines, 1 to 1000; 200 if not given.' })
  readonly lines?: number | null;
}

@ObjectType({ description: 'What a machine has written to its console.' })
export class ReadVirtualMachineConsolePayload {
  @Field(() => String, {
    nullable: true,
    description:
      'The last lines as the machine wrote them, control characters and all, 64 Ki characters at most; empty when it wrote none. ' +
      'Null when an idempotency key repeats the request: it is stored nowhere.',
  })
  readonly output!: string | null;

  @Field(() => Boolean, { description: 'Whether the backend has kept more than is shown.' })
  readonly isTruncated!: boolean;

  @Field(() => VirtualMachine, { nullable: true, description: 'The machine.' })
  readonly virtualMachine!: VirtualMachine | null;
}

@Authenticated()
@Resolver()
export class MachineConsoleResolver {
  constructor(
    private readonly database: Database,
    private readonly service: MachineConsoleService,
  ) {}

  @Mutation(() => ReadVirtualMachineConsolePayload, {
    description:
      'Reads the console of a machine from its backend: why it does not start, or cannot be reached. It may show secrets, so it is for those who may ' +
      'change the machine, of a node also its cluster, and each look is audited; what it shows is not kept. UNAVAILABLE while its host does not answer.',
  })
  async readVirtualMachineConsole(
    @Args('input', { type: () => ReadVirtualMachineConsoleInput, description: 'Whose.' }) input: ReadVirtualMachineConsoleInput,
    @Context() context: GraphqlContext,
  ): Promise<ReadVirtualMachineConsolePayload> {
    const wanted = { id: input.id, ...(input.lines == null ? {} : { lines: input.lines }) };
    const { virtualMachineId, ...shown } = await this.service.read(accessOf(context), wanted, { idempotencyKey: context.idempotencyKey });
    return { ...shown, virtualMachine: await loadVirtualMachine(this.database, context, virtualMachineId) };
  }
}
