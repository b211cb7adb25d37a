import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, toPayload, type Plan } from '#identity/api';
import { toOperationPayload, type Operation } from '#operations/api';
import type { JsonObject } from '#core';
import { withoutNulls } from '../catalogue.graphql.js';
import {
  CreateVirtualMachineInput,
  CreateVirtualMachinePayload,
  DeleteVirtualMachineInput,
  DeleteVirtualMachinePayload,
  ResizeVirtualMachineInput,
  ResizeVirtualMachinePayload,
  RestartVirtualMachineInput,
  RestartVirtualMachinePayload,
  ResumeVirtualMachineInput,
  ResumeVirtualMachinePayload,
  StartVirtualMachineInput,
  StartVirtualMachinePayload,
  StopVirtualMachineInput,
  StopVirtualMachinePayload,
  SuspendVirtualMachineInput,
  SuspendVirtualMachinePayload,
  UpdateVirtualMachineInput,
  UpdateVirtualMachinePayload,
} from './machine-inputs.graphql.js';
import { loadVirtualMachine, type VirtualMachine } from './virtual-machine.graphql.js';
import { VirtualMachineService, type ChangeOptions, type CreateVirtualMachineInput as CreateMachine, type PowerAction } from './virtual-machine.service.js';

interface Payload {
  plan: Plan | null;
  result: JsonObject;
  operation: Operation | null;
  virtualMachine: VirtualMachine | null;
}

interface Change {
  id: string;
  expectedVersion?: number | null;
  dryRun?: boolean | null;
}

@Authenticated()
@Resolver()
export class VirtualMachineMutations {
  constructor(
    private readonly database: Database,
    private readonly service: VirtualMachineService,
  ) {}

  @Mutation(() => CreateVirtualMachinePayload, { description: 'Makes a virtual machine with its port and its root disk.' })
  async createVirtualMachine(
    @Args('input', { type: () => CreateVirtualMachineInput, description: 'What to make.' }) input: CreateVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateVirtualMachinePayload> {
    const { dryRun, ...rest } = withoutNulls(input);
    // The service checks what the types do not say: metadata are texts, and a new machine is not suspended.
    const outcome = await this.service.create(accessOf(context), rest as CreateMachine, { dryRun, idempotencyKey: context.idempotencyKey });
    return this.payload(outcome, context, outcome.result.id);
  }

  @Mutation(() => UpdateVirtualMachinePayload, { description: 'Changes what becomes of a machine when its host is lost.' })
  async updateVirtualMachine(
    @Args('input', { type: () => UpdateVirtualMachineInput, description: 'Which, and how.' }) input: UpdateVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<UpdateVirtualMachinePayload> {
    const { id, recovery } = input;
    const outcome = await this.service.update(accessOf(context), { id, recovery }, options(input, context));
    return { ...toPayload(outcome), virtualMachine: await loadVirtualMachine(this.database, context, id) };
  }

  @Mutation(() => DeleteVirtualMachinePayload, {
    description: 'Deletes a machine with its ports and root disk. If it is busy, that is asked to cancel and the deletion runs next.',
  })
  async deleteVirtualMachine(
    @Args('input', { type: () => DeleteVirtualMachineInput, description: 'Which.' }) input: DeleteVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteVirtualMachinePayload> {
    const outcome = await this.service.delete(accessOf(context), input.id, options(input, context));
    return this.payload(outcome, context, input.id);
  }

  @Mutation(() => StartVirtualMachinePayload, { description: 'Starts a machine that is stopped.' })
  startVirtualMachine(
    @Args('input', { type: () => StartVirtualMachineInput, description: 'Which.' }) input: StartVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<StartVirtualMachinePayload> {
    return this.power('START', input, context);
  }

  @Mutation(() => StopVirtualMachinePayload, { description: 'Stops a machine.' })
  stopVirtualMachine(
    @Args('input', { type: () => StopVirtualMachineInput, description: 'Which, and how.' }) input: StopVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<StopVirtualMachinePayload> {
    return this.power('STOP', input, context, input.force ?? false);
  }

  @Mutation(() => RestartVirtualMachinePayload, { description: 'Restarts a machine that runs.' })
  restartVirtualMachine(
    @Args('input', { type: () => RestartVirtualMachineInput, description: 'Which.' }) input: RestartVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<RestartVirtualMachinePayload> {
    return this.power('RESTART', input, context);
  }

  @Mutation(() => SuspendVirtualMachinePayload, { description: 'Freezes a machine that runs, in memory.' })
  suspendVirtualMachine(
    @Args('input', { type: () => SuspendVirtualMachineInput, description: 'Which.' }) input: SuspendVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<SuspendVirtualMachinePayload> {
    return this.power('SUSPEND', input, context);
  }

  @Mutation(() => ResumeVirtualMachinePayload, { description: 'Lets a suspended machine go on.' })
  resumeVirtualMachine(
    @Args('input', { type: () => ResumeVirtualMachineInput, description: 'Which.' }) input: ResumeVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<ResumeVirtualMachinePayload> {
    return this.power('RESUME', input, context);
  }

  @Mutation(() => ResizeVirtualMachinePayload, { description: 'Gives a stopped machine another flavor; its root disk grows with it and never shrinks.' })
  async resizeVirtualMachine(
    @Args('input', { type: () => ResizeVirtualMachineInput, description: 'Which, and to what.' }) input: ResizeVirtualMachineInput,
    @Context() context: GraphqlContext,
  ): Promise<ResizeVirtualMachinePayload> {
    const outcome = await this.service.resize(accessOf(context), input.id, input.flavor, options(input, context));
    return this.payload(outcome, context, input.id);
  }

  private async power(action: PowerAction, input: Change, context: GraphqlContext, force = false): Promise<Payload> {
    const outcome = await this.service.power(accessOf(context), input.id, action, { ...options(input, context), force });
    return this.payload(outcome, context, input.id);
  }

  private async payload(outcome: CommandResult, context: GraphqlContext, id: unknown): Promise<Payload> {
    const base = await toOperationPayload(this.database, context, outcome);
    return { ...base, virtualMachine: await loadVirtualMachine(this.database, context, id) };
  }
}

function options(input: Change, context: GraphqlContext): ChangeOptions {
  const { expectedVersion, dryRun } = input;
  return { dryRun: dryRun ?? false, expectedVersion: expectedVersion ?? undefined, idempotencyKey: context.idempotencyKey };
}
