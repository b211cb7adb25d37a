import { ChangeSet } from '#database';
import { installationId } from '#infrastructure';
import { lockResources, operationId, OPERATIONS, type ReconcilerContext } from '#operations';
import { readFirewallRevision, type FirewallPlaceRow } from '../firewall-policy/firewall-policy.sql.js';
import { securityGroupId } from '../security-group/security-group.js';
import type { Listing } from './listing.js';
import { OVERTAKINGS } from './overtakings.js';
import { around, submitUnlessBusy, type Rounds } from './rounds.js';
import { findExpectedGroups, type ExpectedGroup } from './security-drift.sql.js';
import { FIREWALL_REPAIR, SECURITY_GROUP_REPAIR } from './security-repair.operations.js';

const PAGE = 500;

export interface SecurityOfBackend {
  listing: Listing;
  /** As it was before the backend was asked. */
  firewall: (FirewallPlaceRow & { has_ports: boolean }) | undefined;
  unchangedSince: Date;
  rounds: Rounds;
  repairsAtOnce: number;
}

/** Compares the security groups and the firewall of a backend with what they shall be, and repairs by operations what differs. */
export async function checkSecurity(context: ReconcilerContext, backendId: string, backend: SecurityOfBackend): Promise<void> {
  const { listing, unchangedSince, rounds, repairsAtOnce } = backend;
  const round = `${backendId}/groups`;
  const groups = around(rounds.get(round) ?? '', PAGE, (after) => context.reader.rows(findExpectedGroups, backendId, after, PAGE, unchangedSince));
  rounds.delete(round);
  let accepted = 0;
  for await (const group of groups) {
    if (!listing.differs(group)) continue;
    context.log.warn({ backendId, id: group.id }, 'a backend lacks a security group; repairing');
    if (await submitUnlessBusy(context, groupRepair(group, backendId, listing))) accepted += 1;
    if (accepted < repairsAtOnce) continue;
    rounds.set(round, group.id);
    break;
  }
  await checkFirewall(context, backendId, backend);
}

async function checkFirewall(context: ReconcilerContext, backendId: string, { listing, firewall, unchangedSince }: SecurityOfBackend): Promise<void> {
  const id = await installationId(context.reader);
  const last = await context.reader.first(readFirewallRevision);
  if (listing.isAhead({ id, desired_revision: last?.revision ?? 0 })) {
    context.log.warn({ backendId, revision: listing.told(id) }, 'a backend was told more of what operators say than is known; telling it again');
    await submitUnlessBusy(context, firewallRepair(backendId).add(OVERTAKINGS, { table: 'firewall', revision: listing.told(id) }));
    return;
  }
  // What was never told of it is told before its first port, unless it offered no firewall by then.
  if (firewall === undefined || (firewall.realised_revision === 0 && !firewall.has_ports)) return;
  const has = listing.intact(id);
  if (has >= firewall.desired_revision) return;
  // What it has only not been told yet may be on its way; what it had and has lost is not.
  if (has >= firewall.realised_revision && firewall.changed_at >= unchangedSince) return;
  context.log.warn({ backendId }, 'a backend lacks what operators say of the network; repairing');
  await submitUnlessBusy(context, firewallRepair(backendId));
}

function groupRepair(group: ExpectedGroup, backendId: string, listing: Listing): ChangeSet {
  const { id, tenant_id: tenantId, project_id: projectId } = group;
  const operation = operationId.create();
  const changes = new ChangeSet();
  lockResources(changes, operation, [id]);
  if (listing.isAhead(group)) changes.add(OVERTAKINGS, { table: 'security_group', id, revision: listing.told(id) });
  const input = { securityGroupId: id, backendId };
  changes.add(OPERATIONS, { id: operation, kind: SECURITY_GROUP_REPAIR, resourceKind: securityGroupId.prefix, resourceId: id, tenantId, projectId, backendId, input });
  changes.result = { id, operationId: operation };
  return changes;
}

function firewallRepair(backendId: string): ChangeSet {
  const operation = operationId.create();
  const changes = new ChangeSet();
  lockResources(changes, operation, [backendId]);
  changes.add(OPERATIONS, {
    id: operation,
    kind: FIREWALL_REPAIR,
    resourceKind: 'bck',
    resourceId: backendId,
    tenantId: null,
    projectId: null,
    backendId,
    input: { backendId },
  });
  changes.result = { id: backendId, operationId: operation };
  return changes;
}
