import { z } from 'zod';
import { MAX_CPU_PER_MACHINE, MAX_DISK_GIB, MAX_MEMORY_MIB_PER_MACHINE, MuonError, nameSchema, notFound, parseInput } from '#core';
import { statement, type Reader } from '#database';
import { findZonesByReference } from '#infrastructure';
import { Action, type Access } from '#identity';
import { MAX_MACHINES } from './demand.js';
import { placeMachines } from './place-machines.js';
import { AffinityScope, AffinityStrength, PlacementStrategy, type Placement, type PlacementExplanation } from './request.js';

const inputSchema = z.strictObject({
  /** Ids or names; all active zones when not given. */
  zoneIds: z.array(z.string().max(100)).min(1).max(50).optional(),
  count: z.int().min(1).max(MAX_MACHINES).default(1),
  cpu: z.int().min(1).max(MAX_CPU_PER_MACHINE),
  memoryMib: z.int().min(1).max(MAX_MEMORY_MIB_PER_MACHINE),
  diskGib: z.int().min(0).max(MAX_DISK_GIB).default(0),
  datastoreKind: nameSchema.optional(),
  traits: z.array(nameSchema).max(50).default([]),
  strategy: z.enum(PlacementStrategy).default('SPREAD'),
  /** The machines apart from each other. */
  antiAffinity: z.strictObject({ scope: z.enum(AffinityScope), strength: z.enum(AffinityStrength) }).optional(),
});
export type ExplainPlacementInput = z.input<typeof inputSchema>;

export interface ExplainedPlacement {
  /** Empty when they do not fit. */
  placements: Placement[];
  explanation: PlacementExplanation;
  /** The refusal in a sentence; null when they fit. */
  refusal: string | null;
}

const findActiveZones = statement<{ id: string }>('placement.active_zones', `SELECT id FROM zone WHERE state = 'ACTIVE' ORDER BY id LIMIT 50`);

/**
 * For operators: where machines would go now, and why. Nothing is claimed.
 * @throws FORBIDDEN for others; NOT_FOUND for an unknown zone
 */
export async function explainPlacement(reader: Reader, access: Access, raw: ExplainPlacementInput): Promise<ExplainedPlacement> {
  access.requireSystem(Action.READ, 'host');
  const input = parseInput(inputSchema, raw);
  const { cpu, memoryMib, diskGib, datastoreKind, traits, antiAffinity } = input;
  const groups = antiAffinity === undefined ? [] : [{ id: 'apart', policy: 'ANTI_AFFINITY' as const, existingHostIds: [], ...antiAffinity }];
  const machines = Array.from({ length: input.count }, (_, index) => ({
    resourceId: `machine-${index + 1}`,
    cpu,
    memoryMib,
    diskGib,
    traits,
    groupIds: groups.map((group) => group.id),
    ...(datastoreKind === undefined ? {} : { datastoreKind }),
  }));
  const request = { zoneIds: await zoneIdsOf(reader, input.zoneIds), machines, groups, strategy: input.strategy, explain: true, showHosts: true };
  try {
    const { placements, explanation } = await placeMachines(reader, request);
    return { placements, explanation: explanation as PlacementExplanation, refusal: null };
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY') throw error;
    return { placements: [], explanation: error.data?.placement as unknown as PlacementExplanation, refusal: error.message };
  }
}

async function zoneIdsOf(reader: Reader, references: readonly string[] | undefined): Promise<string[]> {
  if (references === undefined) return (await reader.rows(findActiveZones)).map((row) => row.id);
  const rows = await reader.rows(findZonesByReference, [...references]);
  return references.map((reference, index) => {
    const found = rows.find((row) => row.id === reference || row.name === reference);
    if (found === undefined) throw notFound('zone', reference, `input.zoneIds.${index}`);
    return found.id;
  });
}
