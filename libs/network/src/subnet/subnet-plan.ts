import { z } from 'zod';
import { invalidInput, MuonError, nameSchema } from '#core';
import { constraintMeans, LostRace, ROWS, type ChangeSet, type Reader } from '#database';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import {
  addressToKeep,
  blockOfCidr,
  checkGateway,
  checkPools,
  defaultGateway,
  defaultPools,
  formatAddress,
  formatBlock,
  MAX_POOLS,
  overlap,
  parseAddress,
  parseBlock,
  poolSize,
  type AddressPool,
  type Block,
} from '../address/ipv4.js';
import { subnetId } from './subnet.js';
import { findBlocksOfProject } from './subnet.sql.js';

export const MAX_SUBNETS_PER_NETWORK = 32;

/** Where blocks are taken from when nobody names one: clear of the usual defaults of Docker and Kubernetes. */
const AUTOMATIC_RANGE = { first: '10.32.0.0', blocks: 8192, prefixLength: 24 };
/** Chosen at random among this many, so that parallel requests do not chase one block. */
const AUTOMATIC_CHOICE = 16;

constraintMeans('subnet_overlap', (detail) => new LostRace('subnet', detail));
constraintMeans('subnet_inside', (detail) => new LostRace('subnet', detail));
constraintMeans(
  'subnet_name',
  () => new MuonError('ALREADY_EXISTS', 'A subnet of this name exists already in the network.', { field: 'input.name' }),
);

const addressText = z.string().max(15);
export const subnetSchema = z.strictObject({
  name: nameSchema.default('default'),
  /** IPv4, /16 to /29; a free block is chosen when left out. */
  cidr: z.string().max(18).optional(),
  /** The first usable address when left out. */
  gateway: addressText.optional(),
  /** Everything but the gateway when left out. */
  pools: z.array(z.strictObject({ first: addressText, last: addressText })).min(1).max(MAX_POOLS).optional(),
});
export type SubnetInput = z.input<typeof subnetSchema>;

interface SubnetPlace {
  lifecycle: 'CREATING' | 'PRESENT';
  networkId: string;
  tenantId: string;
  projectId: string;
}

export interface PlannedSubnet {
  id: string;
  cidr: string;
  gateway: string;
  pools: AddressPool[];
  /** Null where the pools need every address. */
  healthCheckAddress: string | null;
}

/** A block that no subnet may overlap, called as in `the subnet "front"`. */
export interface TakenBlock {
  called: string;
  cidr: string;
}

/**
 * Adds a subnet's row to the change set, and the claim of the address that it keeps for health checks.
 * @param field path of the subnet's input
 * @param outside what the network's router leads to, or may go back to: a block inside of that could not be told from it
 * @throws INVALID_INPUT naming what is wrong with block, gateway or pools, or what it overlaps
 */
export async function planSubnet(
  reader: Reader,
  changes: ChangeSet,
  place: SubnetPlace,
  input: z.output<typeof subnetSchema>,
  field: string,
  outside: readonly TakenBlock[] = [],
): Promise<PlannedSubnet> {
  const known = [...(await knownBlocks(reader, changes, place.projectId)), ...outside.map(({ called, cidr }) => ({ ...blockOfCidr(cidr, field), called }))];
  const block = input.cidr === undefined ? freeBlock(known, `${field}.cidr`) : chosenBlock(known, input.cidr, `${field}.cidr`);
  const gateway = input.gateway === undefined ? defaultGateway(block) : parseAddress(input.gateway, `${field}.gateway`);
  checkGateway(block, gateway, `${field}.gateway`);
  const pools = input.pools === undefined ? defaultPools(block) : checkPools(block, input.pools, `${field}.pools`);
  const { networkId, tenantId, projectId } = place;
  const kept = addressToKeep(block, gateway, pools);
  const healthCheckAddress = kept === undefined ? null : formatAddress(kept);
  const planned = { id: subnetId.create(), cidr: formatBlock(block), gateway: formatAddress(gateway), pools, healthCheckAddress };
  const { id, cidr } = planned;
  const addresses = poolSize(pools, planned.gateway, healthCheckAddress);
  if (addresses === 0) {
    throw invalidInput(`${field}.pools`, 'The pools hold nothing but the gateway; they need at least one more address.');
  }
  if (healthCheckAddress !== null) {
    changes.add(ADDRESS_CLAIMS, { action: 'CLAIM', networkId, subnetId: id, address: healthCheckAddress, ownerId: id, tenantId, projectId });
  }
  changes.add(ROWS, {
    table: 'subnet',
    insert: {
      id,
      tenant_id: tenantId,
      project_id: projectId,
      network_id: networkId,
      name: input.name,
      cidr,
      gateway: planned.gateway,
      pools,
      health_check_address: healthCheckAddress,
      lifecycle: place.lifecycle,
    },
  });
  changes.resources.push({
    action: 'CREATE',
    kind: 'subnet',
    id,
    name: input.name,
    data: { cidr, gateway: planned.gateway, addresses, healthCheckAddress },
  });
  return planned;
}

interface KnownBlock extends Block {
  called: string;
}

async function knownBlocks(reader: Reader, changes: ChangeSet, projectId: string): Promise<KnownBlock[]> {
  const stored = await reader.rows(findBlocksOfProject, projectId);
  const planned = changes.items(ROWS).flatMap((row) => ('insert' in row && row.table === 'subnet' ? [row.insert] : []));
  return [...stored, ...planned].map((row) => ({ ...parseBlock(String(row.cidr), 'cidr'), called: `the subnet "${String(row.name)}" (${String(row.cidr)}) of this project` }));
}

function chosenBlock(known: readonly KnownBlock[], cidr: string, field: string): Block {
  const block = parseBlock(cidr, field);
  const other = known.find((candidate) => overlap(candidate, block));
  if (other === undefined) return block;
  throw invalidInput(field, `"${cidr}" overlaps ${other.called}; choose another block.`, {
    overlaps: formatBlock(other),
  });
}

function freeBlock(known: readonly KnownBlock[], field: string): Block {
  const size = 2 ** (32 - AUTOMATIC_RANGE.prefixLength);
  const start = parseAddress(AUTOMATIC_RANGE.first, field);
  const free: Block[] = [];
  for (let index = 0; index < AUTOMATIC_RANGE.blocks && free.length < AUTOMATIC_CHOICE; index += 1) {
    const first = start + index * size;
    const block = { first, last: first + size - 1, prefixLength: AUTOMATIC_RANGE.prefixLength };
    if (!known.some((other) => overlap(other, block))) free.push(block);
  }
  const chosen = free[Math.floor(Math.random() * free.length)];
  if (chosen !== undefined) return chosen;
  throw new MuonError('INSUFFICIENT_CAPACITY', 'No block is left to choose from in this project; name one.', { field, fault: 'USER', retryable: false });
}
