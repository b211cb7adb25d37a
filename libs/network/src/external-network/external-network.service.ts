import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, invalidInput, MuonError, nameSchema, notFound, parseInput, toMuonError } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import { requireActiveBackend } from '#infrastructure';
import { Action, CommandRunner, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { checkGateway, checkPools, defaultPools, formatAddress, formatBlock, MAX_POOLS, overlap, parseAddress, parseBlock } from '../address/ipv4.js';
import { refuseUsedExternalNetwork } from '../router/edge-claims.js';
import { requireRouters } from './external-address.js';
import { externalNetworkId, type ExternalNetworkRow } from './external-network.js';
import { EXTERNAL_NETWORK_CREATE, EXTERNAL_NETWORK_DELETE } from './external-network.operations.js';
import { findExternalNetworks, findExternalNetworksByReference, findNeighbouringExternalNetworks } from './external-network.sql.js';

const nameTaken = (): MuonError =>
  new MuonError('ALREADY_EXISTS', 'An external network of this name exists already.', { field: 'input.name' });
constraintMeans('external_network_name', nameTaken);
constraintMeans('external_network_overlap', (detail) => new LostRace('external network', detail));

const addressText = z.string().max(15);
const createSchema = z.strictObject({
  name: nameSchema,
  description: descriptionSchema.default(''),
  backendId: z.string().max(100),
  physicalNetwork: z.string().regex(/^[\w.-]{1,100}$/, 'A physical network has 1 to 100 letters, digits, hyphens, dots and underscores.'),
  vlan: z.int().min(1).max(4094).optional(),
  /** IPv4, /16 to /29. */
  cidr: z.string().max(18),
  /** The router of the outside. */
  gateway: addressText,
  /** What Muon gives out; everything but the gateway when left out. */
  pools: z.array(z.strictObject({ first: addressText, last: addressText })).min(1).max(MAX_POOLS).optional(),
});
export type CreateExternalNetworkInput = z.input<typeof createSchema>;

const deleteSchema = z.strictObject({ id: z.string().max(100), expectedVersion: z.int().min(0).optional() });
export type DeleteExternalNetworkInput = z.input<typeof deleteSchema>;

/** For operators: the networks outside, whose addresses routers and floating IPs have. */
@Injectable()
export class ExternalNetworkService {
  constructor(private readonly commands: CommandRunner) {}

  /** @throws FORBIDDEN; NOT_FOUND, INVALID_STATE, UNSUPPORTED of the backend; ALREADY_EXISTS; INVALID_INPUT of block, gateway and pools */
  async create(access: Access, raw: CreateExternalNetworkInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSchema, raw);
    return this.commands.run({ access, name: 'createExternalNetwork', input, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.CREATE_CHILD, 'external network');
      const backend = await requireActiveBackend(reader, input.backendId, 'input.backendId');
      await requireRouters(reader, backend.id, 'input.backendId');
      const changes = new ChangeSet();
      if ((await reader.rows(findExternalNetworksByReference, [input.name])).length > 0) changes.problems.push(nameTaken().toRecord());
      const row = await planRow(reader, input);
      changes.add(ROWS, { table: 'external_network', insert: row });
      changes.resources.push({ action: 'CREATE', kind: 'external network', id: row.id, name: input.name, data: { cidr: row.cidr, gateway: row.gateway } });
      const operation = operationId.create();
      lockResources(changes, operation, [row.id]);
      changes.add(OPERATIONS, newOperation(operation, EXTERNAL_NETWORK_CREATE, row));
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }

  /** @throws INVALID_STATE while routers or floating IPs have addresses of it; CONFLICT when it has another version */
  async delete(access: Access, raw: DeleteExternalNetworkInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(deleteSchema, raw);
    return this.commands.run({ access, name: 'deleteExternalNetwork', input, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.DELETE, 'external network');
      const [row] = await reader.rows(findExternalNetworks, [input.id]);
      if (row === undefined) throw notFound('external network', input.id, 'input.id');
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The external network "${row.name}" is being deleted already.`);
      const changes = new ChangeSet();
      await refuseUsedExternalNetwork(reader, row.id).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_EXTERNAL_NETWORK', externalNetworkId: row.id });
      changes.add(ROWS, { table: 'external_network', update: { lifecycle: 'DELETING' }, id: row.id, version: input.expectedVersion ?? row.version });
      const operation = operationId.create();
      succeedResources(changes, operation, [row.id]);
      changes.add(OPERATIONS, newOperation(operation, EXTERNAL_NETWORK_DELETE, row));
      changes.resources.push({ action: 'DELETE', kind: 'external network', id: row.id, name: row.name });
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }
}

async function planRow(reader: Reader, input: z.output<typeof createSchema>) {
  const block = parseBlock(input.cidr, 'input.cidr');
  const gateway = parseAddress(input.gateway, 'input.gateway');
  checkGateway(block, gateway, 'input.gateway');
  const pools = input.pools === undefined ? defaultPools(block) : checkPools(block, input.pools, 'input.pools');
  for (const other of await reader.rows(findNeighbouringExternalNetworks, input.backendId, input.physicalNetwork)) {
    if (overlap(parseBlock(other.cidr, 'input.cidr'), block)) {
      throw invalidInput('input.cidr', `"${formatBlock(block)}" overlaps the external network "${other.name}" (${other.cidr}) of the same cables.`);
    }
  }
  const { name, description, backendId, physicalNetwork, vlan } = input;
  return {
    id: externalNetworkId.create() as string,
    name,
    description,
    backend_id: backendId,
    physical_network: physicalNetwork,
    vlan: vlan ?? null,
    cidr: formatBlock(block),
    gateway: formatAddress(gateway),
    pools,
    lifecycle: 'CREATING',
  };
}

function newOperation(id: string, kind: string, row: Pick<ExternalNetworkRow, 'id' | 'backend_id'>): NewOperation {
  return {
    id,
    kind,
    resourceKind: externalNetworkId.prefix,
    resourceId: row.id,
    tenantId: null,
    projectId: null,
    backendId: row.backend_id,
    input: { externalNetworkId: row.id },
  };
}
