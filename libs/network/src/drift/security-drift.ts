import { MuonError } from '#core';
import { ChangeSet } from '#database';
import { installationId } from '#infrastructure';
import { lockResources, operationId, OPERATIONS, type ReconcilerContext } from '#operations';
import { readFirewallRevision, type FirewallPlaceRow } from '../firewall-policy/firewall-policy.sql.js';
import { securityGroupId } from '../security-group/security-group.js';
import type { Listing } from './listing.js';
import { OVERTAKINGS } from './overtakings.js';
import { findExpectedGroups, type ExpectedGroup } from './security-drift.sql.js';
import { FIREWALL_REPAIR, SECURITY_GROUP_REPAIR } from './security-repair.operations.js';

const PAGE = 500;
const MAX_PAGES = 2000;
/** A backend that has lost everything is repaired in several runs. */
const MAX_REPAIRS = 50;

export interface SecurityOfBackend {
  listing: Listing;
  /** As it was before the backend was asked. */
  firewall: FirewallPlaceRow | undefined;
  unchangedSince: Date;
}

/** Compares the security groups and the firewall of a backend with what they shall be, and repairs by operations what differs. */
export async function checkSecurity(context: ReconcilerContext, backendId: string, { listing, firewall, unchangedSince }: SecurityOfBackend): Promise<void> {
  const lost: ExpectedGroup[] = [];
  let after = '';
  for (let page = 0; page < MAX_PAGES && lost.length < MAX_REPAIRS; page += 1) {
    const groups = await context.reader.rows(findExpectedGroups, backendId, after, PAGE, unchangedSince);
    lost.push(...groups.filter((group) => listing.differs(group)));
    const last = groups.at(-1);
    if (last === undefined || groups.length < PAGE) break;
    after = last.id;
  }
  if (lost.length > 0) context.log.warn({ backendId, groups: lost.length, first: lost[0]?.id }, 'a backend lacks security groups; repairing');
  for (const group of lost.slice(0, MAX_REPAIRS)) await submit(context, groupRepair(group, backendId, listing));

  await checkFirewall(context, backendId, { listing, firewall, unchangedSince });
}

async function checkFirewall(context: ReconcilerContext, backendId: string, { listing, firewall, unchangedSince }: SecurityOfBackend): Promise<void> {
  const id = await installationId(context.reader);
  const last = await context.reader.first(readFirewallRevision);
  if (listing.isAhead({ id, desired_revision: last?.revision ?? 0 })) {
    context.log.warn({ backendId, revision: listing.told(id) }, 'a backend was told more of what operators say than is known; telling it again');
    await submit(context, firewallRepair(backendId).add(OVERTAKINGS, { table: 'firewall', revision: listing.told(id) }));
    return;
  }
  if (firewall === undefined || firewall.realised_revision === 0) return;
  const has = listing.intact(id);
  if (has >= firewall.desired_revision) return;
  // What it has only not been told yet may be on its way; what it had and has lost is not.
  if (has >= firewall.realised_revision && firewall.changed_at >= unchangedSince) return;
  context.log.warn({ backendId }, 'a backend lacks what operators say of the network; repairing');
  await submit(context, firewallRepair(backendId));
}

async function submit(context: ReconcilerContext, changes: ChangeSet): Promise<void> {
  try {
    await context.submit(changes);
  } catch (error) {
    // Whoever holds it is changing it, or repairs it already: the next run sees what is left.
    if (!(error instanceof MuonError) || error.code !== 'RESOURCE_BUSY') throw error;
  }
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
