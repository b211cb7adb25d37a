import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { descriptionSchema, invalidInput, MuonError, nameSchema, notFound, parseInput, toMuonError } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { Action, CommandRunner, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { lockResources, operationId, OPERATIONS, succeedResources, type NewOperation } from '#operations';
import { ADDRESS_CLAIMS } from '../address/address-claims.js';
import { formatAddress, formatBlock, overlap, parseBlock, parseTransitBlock } from '../address/ipv4.js';
import { requireConnected } from '../external-network/connected-hosts.js';
import { claimFreeAddress, requireRouters } from '../external-network/external-address.js';
import type { ExternalNetworkRow } from '../external-network/external-network.js';
import { findExternalNetworksByReference } from '../external-network/external-network.sql.js';
import { refuseUsedProviderRouter } from '../router/edge-claims.js';
import { DEFAULT_TRANSIT_CIDR, providerRouterId, type ProviderRouterRow } from './provider-router.js';
import { PROVIDER_ROUTER_CREATE, PROVIDER_ROUTER_DELETE } from './provider-router.operations.js';
import { findProviderRouters, findProviderRoutersByReference } from './provider-router.sql.js';

const nameTaken = (): MuonError => new MuonError('ALREADY_EXISTS', 'A provider router of this name exists already.', { field: 'input.name' });
constraintMeans('provider_router_name', nameTaken);

const createSchema = z.strictObject({
  name: nameSchema,
  description: descriptionSchema.default(''),
  /** By id or name. */
  externalNetwork: z.string().min(1).max(100),
  /** IPv4, /16 to /24. */
  transitCidr: z.string().max(18).default(DEFAULT_TRANSIT_CIDR),
});
export type CreateProviderRouterInput = z.input<typeof createSchema>;

const deleteSchema = z.strictObject({ id: z.string().max(100), expectedVersion: z.int().min(0).optional() });
export type DeleteProviderRouterInput = z.input<typeof deleteSchema>;

/** For operators: routers between those of tenants and an external network, whose address many tenants share. */
@Injectable()
export class ProviderRouterService {
  constructor(private readonly commands: CommandRunner) {}

  /**
   * @throws FORBIDDEN; NOT_FOUND, INVALID_STATE, UNSUPPORTED of the external network; ALREADY_EXISTS; INVALID_INPUT of the
   * transit block; INSUFFICIENT_CAPACITY when the external network is full
   */
  async create(access: Access, raw: CreateProviderRouterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createSchema, raw);
    return this.commands.run({ access, name: 'createProviderRouter', input, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.CREATE_CHILD, 'provider router');
      const outside = await requireOutside(reader, input.externalNetwork);
      await requireRouters(reader, outside.backend_id, 'input.externalNetwork');
      const changes = new ChangeSet();
      if ((await reader.rows(findProviderRoutersByReference, [input.name])).length > 0) changes.problems.push(nameTaken().toRecord());
      const transit = planTransit(input.transitCidr, outside);
      const id: string = providerRouterId.create();
      const address = await claimFreeAddress(reader, changes, outside, { ownerId: id, tenantId: null, projectId: null });
      const { name, description } = input;
      const row = { id, backend_id: outside.backend_id };
      const { id: externalNetworkId } = outside;
      changes.add(ROWS, {
        table: 'provider_router',
        insert: { ...row, ...transit, name, description, external_network_id: externalNetworkId, external_address: address, lifecycle: 'CREATING' },
      });
      const data = { externalNetwork: outside.name, externalAddress: address, transitCidr: transit.transit_cidr };
      changes.resources.push({ action: 'CREATE', kind: 'provider router', id, name, data });
      const operation = operationId.create();
      lockResources(changes, operation, [id]);
      changes.add(OPERATIONS, newOperation(operation, PROVIDER_ROUTER_CREATE, row));
      changes.result = { id, operationId: operation };
      return changes;
    });
  }

  /** @throws INVALID_STATE while routers lead to it; CONFLICT when it has another version */
  async delete(access: Access, raw: DeleteProviderRouterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(deleteSchema, raw);
    return this.commands.run({ access, name: 'deleteProviderRouter', input, place: SYSTEM_PLACE, ...options }, async (reader) => {
      access.requireSystem(Action.DELETE, 'provider router');
      const [row] = await reader.rows(findProviderRouters, [input.id]);
      if (row === undefined) throw notFound('provider router', input.id, 'input.id');
      if (row.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The provider router "${row.name}" is being deleted already.`);
      const changes = new ChangeSet();
      await refuseUsedProviderRouter(reader, row.id).catch((error: unknown) => changes.problems.push(toMuonError(error).toRecord()));
      changes.add(ADDRESS_CLAIMS, { action: 'CLOSE_PROVIDER_ROUTER', providerRouterId: row.id });
      changes.add(ROWS, { table: 'provider_router', update: { lifecycle: 'DELETING' }, id: row.id, version: input.expectedVersion ?? row.version });
      const operation = operationId.create();
      succeedResources(changes, operation, [row.id]);
      changes.add(OPERATIONS, newOperation(operation, PROVIDER_ROUTER_DELETE, row));
      changes.resources.push({ action: 'DELETE', kind: 'provider router', id: row.id, name: row.name });
      changes.result = { id: row.id, operationId: operation };
      return changes;
    });
  }
}

async function requireOutside(reader: Reader, reference: string): Promise<ExternalNetworkRow> {
  const field = 'input.externalNetwork';
  const found = await reader.rows(findExternalNetworksByReference, [reference]);
  const row = found.find((each) => each.id === reference) ?? found[0];
  if (row === undefined) throw notFound('external network', reference, field);
  if (row.lifecycle === 'PRESENT') {
    requireConnected(row, field);
    return row;
  }
  throw new MuonError('INVALID_STATE', `The external network "${row.name}" is ${row.lifecycle} and gives out no addresses.`, {
    field,
    data: { id: row.id, state: row.lifecycle },
  });
}

/** The last usable address of the block is its own. @throws INVALID_INPUT */
function planTransit(cidr: string, outside: Pick<ExternalNetworkRow, 'name' | 'cidr'>): Pick<ProviderRouterRow, 'transit_cidr' | 'transit_address'> {
  const field = 'input.transitCidr';
  const block = parseTransitBlock(cidr, field);
  if (overlap(block, parseBlock(outside.cidr, field))) {
    throw invalidInput(field, `"${formatBlock(block)}" overlaps the external network "${outside.name}" (${outside.cidr}).`);
  }
  return { transit_cidr: formatBlock(block), transit_address: formatAddress(block.last - 1) };
}

function newOperation(id: string, kind: string, row: Pick<ProviderRouterRow, 'id' | 'backend_id'>): NewOperation {
  return {
    id,
    kind,
    resourceKind: providerRouterId.prefix,
    resourceId: row.id,
    tenantId: null,
    projectId: null,
    backendId: row.backend_id,
    input: { providerRouterId: row.id },
  };
}
