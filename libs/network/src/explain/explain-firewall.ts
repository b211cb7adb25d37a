import { invalidInput, notFound, parseInput } from '#core';
import type { Reader } from '#database';
import type { Access } from '#identity';
import { z } from 'zod';
import { findPoliciesInForce } from '../firewall-policy/firewall-policy.sql.js';
import type { PortRow } from '../port/port.js';
import { findVisiblePorts } from '../port/port.sql.js';
import { FirewallProtocols } from '../security-group/rule.js';
import { findGroupsOfAddress, findGroupsOfPorts, findSecurityGroups } from '../security-group/security-group.sql.js';
import { verdictOf, type Verdict } from './verdict.js';

const id = z.string().max(100);
const address = z.ipv4('An IPv4 address is needed here, as in "10.0.0.1".');

export const explainFirewallInput = z.strictObject({
  fromPortId: id.optional(),
  fromAddress: address.optional(),
  toPortId: id.optional(),
  toAddress: address.optional(),
  protocol: z.enum(FirewallProtocols),
  port: z.int().min(0, 'A port is 0 or more.').max(65_535, 'A port is at most 65535.').optional(),
});
export type ExplainFirewallInput = z.input<typeof explainFirewallInput>;

/** What one of the two ports says to it. */
export interface FirewallCheck {
  direction: 'INGRESS' | 'EGRESS';
  portId: string;
  verdict: Verdict;
}

interface End {
  port: PortRow | null;
  address: string;
}

/**
 * Whether a connection may begin, by the rows: what leaves the port that begins it, and what comes to the other. It says
 * nothing of whether a way leads there.
 * @throws INVALID_INPUT, NOT_FOUND of ports that the caller may not see
 */
export async function explainFirewall(reader: Reader, access: Access, raw: ExplainFirewallInput): Promise<FirewallCheck[]> {
  const input = parseInput(explainFirewallInput, raw, 'input');
  const hasPorts = input.protocol === 'TCP' || input.protocol === 'UDP';
  if (hasPorts !== (input.port !== undefined)) {
    throw invalidInput('input.port', hasPorts ? `${input.protocol} needs the port of the receiver.` : 'Only TCP and UDP have ports.');
  }
  const from = await endOf(reader, access, 'from', input.fromPortId, input.fromAddress);
  const to = await endOf(reader, access, 'to', input.toPortId, input.toAddress);
  if (from.port === null && to.port === null) throw invalidInput('input.toPortId', 'One of both ends must be a port of yours: its rules are explained.');
  const policies = await reader.rows(findPoliciesInForce);
  const check = async (direction: 'INGRESS' | 'EGRESS', port: PortRow | null, remoteAddress: string): Promise<FirewallCheck[]> => {
    if (port === null) return [];
    const memberships = await reader.rows(findGroupsOfPorts, [port.id]);
    const groups = await reader.rows(findSecurityGroups, memberships.map((row) => row.security_group_id));
    const remote = await reader.rows(findGroupsOfAddress, port.project_id, remoteAddress);
    const packet = { direction, protocol: input.protocol, port: input.port ?? null, remoteAddress, remoteGroupIds: new Set(remote.map((row) => row.security_group_id)) };
    const rules = { tenantId: port.tenant_id, projectId: port.project_id, policies, groups };
    return [{ direction, portId: port.id, verdict: verdictOf(packet, rules) }];
  };
  return [...(await check('EGRESS', from.port, to.address)), ...(await check('INGRESS', to.port, from.address))];
}

async function endOf(reader: Reader, access: Access, side: 'from' | 'to', portId: string | undefined, given: string | undefined): Promise<End> {
  if ((portId === undefined) === (given === undefined)) throw invalidInput(`input.${side}PortId`, `Give either ${side}PortId or ${side}Address.`);
  if (portId === undefined) return { port: null, address: given ?? '' };
  const [port] = await reader.rows(findVisiblePorts, ...access.filter('port'), [portId]);
  if (port === undefined) throw notFound('port', portId, `input.${side}PortId`);
  return { port, address: port.address };
}
