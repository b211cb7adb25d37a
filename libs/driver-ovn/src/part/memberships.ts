import { notFound } from '#core';
import type { Outcome, Row, Transaction } from '#ovsdb';
import type { Draft } from '../draft.js';
import type { Port } from '../input.js';
import { Mark, requireOwn } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { scopesOf, scopeUuid } from './firewalls.js';

type Group = Row<Pick<Northbound['Port_Group'], 'name' | 'external_ids'>>;

/** The port groups that a port may belong to, and those that it is in. */
export interface PortGroups {
  /** By their security group. */
  security: ReadonlyMap<string, Group | undefined>;
  /** Of the firewall, the narrowest scope first. */
  scopes: readonly { uuid: string; row: Group | undefined }[];
  current: readonly Group[];
}

/** Adds what reads them. @returns what takes them out of the outcome */
export function readPortGroups(reading: Transaction<Northbound>, port: Port): (found: Outcome) => PortGroups {
  const { portId, ownership, securityGroupIds } = port;
  const { installationId, tenantId, projectId } = ownership;
  const select = (uuid: string) => reading.select('Port_Group', [['_uuid', '==', uuid]], ['name', 'external_ids']);
  const security = [...new Set(securityGroupIds)].map((id) => ({ id, rows: select(rowUuid('Port_Group', id)) }));
  const scopes = scopesOf(tenantId, projectId).map((scope) => {
    const uuid = scopeUuid(installationId, scope);
    return { uuid, rows: select(uuid) };
  });
  const current = reading.select('Port_Group', [['ports', 'includes', [rowUuid('Logical_Switch_Port', portId)]]], ['name', 'external_ids']);
  return (found) => ({
    security: new Map(security.map(({ id, rows }) => [id, found.of(rows)[0]])),
    scopes: scopes.map(({ uuid, rows }) => ({ uuid, row: found.of(rows)[0] })),
    current: found.of(current),
  });
}

/**
 * Puts the port into its security groups and under the firewall, and takes it out of others of ours: what somebody has
 * made by hand is left alone.
 * @throws NOT_FOUND when the backend has not got a group
 */
export function joinPortGroups(draft: Draft, backendId: string, port: Port, groups: PortGroups): void {
  const portUuid = rowUuid('Logical_Switch_Port', port.portId);
  const wanted = new Set<string>();
  for (const [id, row] of groups.security) {
    if (row === undefined) throw notFound('security group', id);
    requireOwn(backendId, port.ownership.installationId, 'security group', id, row);
    draft.expectPresence('Port_Group', row._uuid, row);
    wanted.add(row._uuid);
  }
  // A narrower one that comes meanwhile, or one that goes, would leave the port where it does not belong.
  for (const { uuid, row } of groups.scopes) draft.expectPresence('Port_Group', uuid, row);
  const scope = groups.scopes.find(({ row }) => row !== undefined);
  if (scope !== undefined) wanted.add(scope.uuid);

  const current = new Set(groups.current.map(({ _uuid }) => _uuid));
  for (const uuid of wanted) if (!current.has(uuid)) draft.join('Port_Group', uuid, 'ports', portUuid);
  for (const { _uuid, external_ids: marks } of groups.current) {
    const isOurs = marks.get(Mark.INSTALLATION) === port.ownership.installationId;
    if (isOurs && !wanted.has(_uuid)) draft.leave('Port_Group', _uuid, 'ports', portUuid);
  }
}
