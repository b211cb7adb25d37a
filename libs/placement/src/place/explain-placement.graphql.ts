import { Args, Context, Field, ID, InputType, Int, ObjectType, Query, registerEnumType, ResolveField, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, Long, type GraphqlContext } from '#graphql';
import { accessOf } from '#identity/api';
import { Datastore, Host, loadDatastore, loadHost } from '#infrastructure/api';
import { explainPlacement, type ExplainPlacementInput as ExplainInput } from './explain-placement.js';
import { AffinityScope, AffinityStrength, PlacementFilter, PlacementStrategy, type Shortage } from './request.js';

registerEnumType(PlacementStrategy, {
  name: 'PlacementStrategy',
  description: 'Which hosts are taken first.',
  valuesMap: { SPREAD: { description: 'The emptiest.' }, PACK: { description: 'The fullest that still fit.' } },
});
registerEnumType(AffinityScope, {
  name: 'PlacementScope',
  description: 'What machines share or do not share.',
  valuesMap: { HOST: { description: 'A host.' }, RACK: { description: 'A rack.' }, ZONE: { description: 'A zone.' } },
});
registerEnumType(AffinityStrength, {
  name: 'PlacementStrength',
  description: 'How firm a wish is.',
  valuesMap: {
    REQUIRE: { description: 'Kept, or nothing is placed.' },
    PREFER: { description: 'Outweighs every other wish.' },
  },
});
registerEnumType(PlacementFilter, {
  name: 'PlacementFilter',
  description: 'What rules a host out, in the order in which it is asked.',
  valuesMap: {
    ZONE: { description: 'It is in another zone, or in one that is being withdrawn.' },
    STATE: { description: 'It is not active, or its backend is being withdrawn.' },
    EXCLUDED: { description: 'The request leaves it out.' },
    NETWORK: { description: 'The networks do not reach its backend.' },
    TRAITS: { description: 'It lacks a trait.' },
    AFFINITY: { description: 'An affinity group that is there already forbids it.' },
    CPU: { description: 'It is short of processors.' },
    MEMORY: { description: 'It is short of memory.' },
    DATASTORE: { description: 'No datastore that it reaches has room.' },
    SET: { description: 'It fits one machine alone, but not beside the others of the request.' },
  },
});

const ShortageResource = { CPU: 'CPU', MEMORY_MIB: 'MEMORY_MIB', DISK_GIB: 'DISK_GIB' } as const;
registerEnumType(ShortageResource, {
  name: 'ShortageResource',
  description: 'What a host is short of.',
  valuesMap: {
    CPU: { description: 'Virtual processors.' },
    MEMORY_MIB: { description: 'Memory in MiB.' },
    DISK_GIB: { description: 'Disk space in GiB.' },
  },
});

@InputType({ description: 'How far machines shall be apart.' })
export class AntiAffinityInput {
  @Field(() => AffinityScope, { description: 'What they shall not share.' })
  readonly scope!: AffinityScope;

  @Field(() => AffinityStrength, { description: 'How firmly.' })
  readonly strength!: AffinityStrength;
}

@InputType({ description: 'Machines to find places for, without claiming them.' })
export class ExplainPlacementInput {
  @Field(() => [ID], { nullable: true, description: 'Zones by id or name; all if not given.' })
  readonly zoneIds?: string[] | null;

  @Field(() => Int, { nullable: true, description: 'How many machines, 1 to 1000; 1 if not given.' })
  readonly count?: number | null;

  @Field(() => Int, { description: 'Virtual processors of each.' })
  readonly cpu!: number;

  @Field(() => Int, { description: 'Memory of each in MiB.' })
  readonly memoryMib!: number;

  @Field(() => Int, { nullable: true, description: 'Disk space of each in GiB; none if not given.' })
  readonly diskGib?: number | null;

  @Field(() => String, { nullable: true, description: 'Only datastores of this kind.' })
  readonly datastoreKind?: string | null;

  @Field(() => [String], { nullable: true, description: 'What their hosts must have, all of it.' })
  readonly traits?: string[] | null;

  @Field(() => PlacementStrategy, { nullable: true, description: 'SPREAD if not given.' })
  readonly strategy?: PlacementStrategy | null;

  @Field(() => AntiAffinityInput, { nullable: true, description: 'How far they shall be apart.' })
  readonly antiAffinity?: AntiAffinityInput | null;
}

@ObjectType('PlannedPlacement', { description: 'Where one machine would go.' })
export class PlannedPlacement {
  readonly hostId!: string;
  readonly datastoreId!: string | null;
}

@ObjectType('RemovedHosts', { description: 'How many hosts a filter ruled out; each host is counted at the first that does.' })
export class RemovedHosts {
  @Field(() => PlacementFilter, { description: 'Which filter.' })
  readonly filter!: PlacementFilter;

  @Field(() => Int, { description: 'How many hosts.' })
  readonly hosts!: number;
}

@ObjectType('Shortage', { description: 'What a host lacks.' })
export class ShortageObject {
  @Field(() => ShortageResource, { description: 'Of what.' })
  readonly resource!: Shortage['resource'];

  @Field(() => Long, { description: 'How much is needed.' })
  readonly needed!: number;

  @Field(() => Long, { description: 'How much is free.' })
  readonly free!: number;
}

@ObjectType({ description: 'The host that lacks the least, among those that only size rules out.' })
export class NearestMiss {
  @Field(() => ID, { nullable: true, description: 'Its id.' })
  readonly hostId!: string | null;

  @Field(() => String, { nullable: true, description: 'Its name.' })
  readonly hostName!: string | null;

  @Field(() => [ShortageObject], { description: 'What it lacks.' })
  readonly lacks!: ShortageObject[];
}

@ObjectType('PlacementExplanation', { description: 'Where machines would go now, and why.' })
export class PlacementExplanationObject {
  @Field(() => Int, { description: 'How many machines were asked for.' })
  readonly requested!: number;

  @Field(() => Int, { description: 'How many could be placed at once.' })
  readonly placed!: number;

  @Field(() => Int, { description: 'How many hosts there are.' })
  readonly considered!: number;

  @Field(() => [RemovedHosts], { description: 'What ruled hosts out, in the order of the filters.' })
  readonly removed!: RemovedHosts[];

  @Field(() => Int, { description: 'How many hosts are left.' })
  readonly fitting!: number;

  @Field(() => NearestMiss, { nullable: true, description: 'The host that lacks the least, when none fits.' })
  readonly nearestMiss!: NearestMiss | null;

  @Field(() => String, { nullable: true, description: 'Why they do not fit, in a sentence; null when they do.' })
  readonly refusal!: string | null;

  @Field(() => [PlannedPlacement], { description: 'Where they would go, one a machine; empty when they do not fit. Another look may draw other hosts.' })
  readonly placements!: PlannedPlacement[];
}

@Authenticated()
@Resolver(() => PlannedPlacement)
export class PlacementResolver {
  constructor(private readonly database: Database) {}

  @Query(() => PlacementExplanationObject, { description: 'For operators: where machines would go now, and why. Nothing is claimed.' })
  async explainPlacement(
    @Args('input', { type: () => ExplainPlacementInput, description: 'Which machines.' }) input: ExplainPlacementInput,
    @Context() context: GraphqlContext,
  ): Promise<PlacementExplanationObject> {
    const wanted = Object.fromEntries(Object.entries(input).filter(([, value]) => value != null)) as unknown as ExplainInput;
    const { placements, explanation, refusal } = await explainPlacement(this.database, accessOf(context), {
      ...wanted,
      ...(input.antiAffinity == null ? {} : { antiAffinity: { ...input.antiAffinity } }),
    });
    return { ...explanation, refusal, placements };
  }

  // Undecorated parameters: called once a machine.
  @ResolveField('host', () => Host, { nullable: true, description: 'The host.' })
  host(placement: PlannedPlacement, _args: unknown, context: GraphqlContext): Promise<Host | null> {
    return loadHost(this.database, context, placement.hostId);
  }

  @ResolveField('datastore', () => Datastore, { nullable: true, description: 'Where its disks would go; null when it needs none.' })
  datastore(placement: PlannedPlacement, _args: unknown, context: GraphqlContext): Promise<Datastore | null> {
    return loadDatastore(this.database, context, placement.datastoreId);
  }
}
