import type { Reader, Transaction } from '#database';
import type { FirewallSpecification, NetworkDriver, SecurityGroupSpecification } from '#drivers';
import { installationId, type DriverRegistry } from '#infrastructure';
import { done, wait, type StepDone } from '#operations';
import { scopeOf } from '../firewall-policy/firewall-policy.js';
import { findFirewallNeeds, findFirewallPlaces, findPoliciesInForce, markFirewallRealised, type FirewallPlaceRow } from '../firewall-policy/firewall-policy.sql.js';
import type { PortRow } from '../port/port.js';
import type { SecurityGroupRow } from '../security-group/security-group.js';
import { findGroupBackends, findGroupsOfPorts, findSecurityGroups, markGroupsRealised } from '../security-group/security-group.sql.js';
import { afterBarrier, hostsHave, type AskedPart } from './barrier.js';
import { settleAll } from './outcomes.js';
import type { AnyContext, Answer } from './places.js';

/** One group on one backend. */
interface Place {
  securityGroupId: string;
  backendId: string;
}

/** Makes the security groups and the firewall of backends equal to the rows. Everything here may be repeated. */
export class SecurityRealiser {
  constructor(private readonly drivers: DriverRegistry) {}

  /** What ports need of it on their backends before they come: a port is under the rules from its beginning. */
  async prepare(context: AnyContext, ports: readonly PortRow[]): Promise<Answer> {
    const needs = await context.reader.rows(findFirewallNeeds, ports.map((port) => port.backend_id), ports.map((port) => port.tenant_id));
    const firewall = await this.tellFirewall(context, needs);
    if (firewall.type === 'WAIT') return firewall;
    const backends = new Map(ports.map((port) => [port.id, port.backend_id]));
    const memberships = await context.reader.rows(findGroupsOfPorts, [...backends.keys()]);
    const places = memberships.map((row) => ({ securityGroupId: row.security_group_id, backendId: backends.get(row.port_id) ?? '' }));
    const groups = await this.tellGroups(context, places, false);
    if (groups.type === 'WAIT') return groups;
    return done({ commit: async (transaction, apply) => both(firewall, groups, transaction, apply) });
  }

  /**
   * Makes these groups equal to their rows on all backends that they are on, and waits until the live hosts have them.
   * @param options.force also where they are known to be so; `backendId` on one backend only
   */
  async ensureGroups(context: AnyContext, ids: readonly string[], options: { force?: boolean; backendId?: string } = {}): Promise<Answer> {
    const spans = await context.reader.rows(findGroupBackends, [...ids]);
    const places = spans
      .filter((span) => options.backendId === undefined || span.backend_id === options.backendId)
      .map((span) => ({ securityGroupId: span.security_group_id, backendId: span.backend_id }));
    const answer = await this.tellGroups(context, places, options.force === true);
    if (answer.type === 'WAIT') return answer;
    return this.realised(context, places.map(({ securityGroupId, backendId }) => ({ partId: securityGroupId, backendId })), answer);
  }

  /**
   * Makes what operators say equal to the policies in force, on every backend with networks, and waits for the live hosts.
   * @param options.tenantId on those with networks of that tenant; others hear of it when it has a port there.
   * `force`: also where it is known to be so; `backendId`: on one backend only
   */
  async ensureFirewall(context: AnyContext, options: { tenantId?: string | null; backendId?: string; force?: boolean }): Promise<Answer> {
    const places = await context.reader.rows(findFirewallPlaces, options.backendId ?? null, options.tenantId ?? null);
    const answer = await this.tellFirewall(context, places, options.force === true);
    if (answer.type === 'WAIT') return answer;
    const partId = await installationId(context.reader);
    return this.realised(context, places.map((place) => ({ partId, backendId: place.backend_id })), answer);
  }

  private async tellFirewall(context: AnyContext, places: readonly FirewallPlaceRow[], force = false): Promise<Answer> {
    const behind = places.filter((place) => force || place.realised_revision < place.desired_revision);
    if (behind.length === 0) return done();
    // The revisions were read before the policies: what is told has all that they stand for.
    const revision = Math.max(...behind.map((place) => Math.max(place.desired_revision, place.realised_revision)));
    const specification = await firewallSpecification(context.reader, revision);
    const again = await settleAll(
      behind.map(async ({ backend_id: id }) =>
        (await this.network(id)).ensureFirewall(context.call(`${id}/firewall/${specification.revision}`), specification),
      ),
    );
    if (again !== null) return wait({ afterMs: again, blocker: 'The backend is taking over what operators say of the network.' });
    const backendIds = behind.map((place) => place.backend_id);
    return done({ commit: async (transaction) => void (await transaction.execute(markFirewallRealised, backendIds, specification.revision)) });
  }

  private async tellGroups(context: AnyContext, places: readonly Place[], force: boolean): Promise<Answer> {
    const ids = [...new Set(places.map((place) => place.securityGroupId))];
    if (ids.length === 0) return done();
    const rows = new Map((await context.reader.rows(findSecurityGroups, ids)).map((row) => [row.id, row]));
    const wanted = new Set(places.map(keyOf));
    const installation = await installationId(context.reader);
    const behind = (await context.reader.rows(findGroupBackends, ids)).flatMap((span) => {
      const row = rows.get(span.security_group_id);
      if (row === undefined || !wanted.has(keyOf({ securityGroupId: row.id, backendId: span.backend_id }))) return [];
      return force || span.realised_revision < row.desired_revision ? [{ backendId: span.backend_id, specification: groupSpecification(installation, row) }] : [];
    });
    const again = await settleAll(
      behind.map(async ({ backendId, specification }) => {
        const call = `${specification.securityGroupId}/${backendId}/${specification.revision}`;
        return (await this.network(backendId)).ensureSecurityGroup(context.call(call), specification);
      }),
    );
    if (again !== null) return wait({ afterMs: again, blocker: 'The backend is making the security group.' });
    if (behind.length === 0) return done();
    const realised = JSON.stringify(
      behind.map(({ backendId, specification }) => ({ securityGroupId: specification.securityGroupId, backendId, revision: specification.revision })),
    );
    return done({ commit: async (transaction) => void (await transaction.execute(markGroupsRealised, realised)) });
  }

  private async realised(context: AnyContext, parts: readonly AskedPart[], { commit }: StepDone): Promise<Answer> {
    const barrier = await hostsHave(context, parts, (backendId) => this.network(backendId), 'The hosts are taking over the rules.');
    return barrier.type === 'WAIT' || commit === undefined ? barrier : afterBarrier(barrier, commit);
  }

  private async network(backendId: string): Promise<NetworkDriver> {
    return (await this.drivers.driver(backendId)).network;
  }
}

const keyOf = ({ securityGroupId, backendId }: Place): string => `${securityGroupId}/${backendId}`;

async function both(one: StepDone, other: StepDone, transaction: Transaction, apply: Parameters<NonNullable<StepDone['commit']>>[1]): Promise<void> {
  await one.commit?.(transaction, apply);
  await other.commit?.(transaction, apply);
}

function groupSpecification(installation: string, row: SecurityGroupRow): SecurityGroupSpecification {
  return {
    securityGroupId: row.id,
    revision: row.desired_revision,
    ownership: { installationId: installation, tenantId: row.tenant_id, projectId: row.project_id },
    rules: row.rules.map(({ description: _description, ...rule }) => rule),
  };
}

/** All policies in force; the part bears the installation's id, as it has one firewall. */
async function firewallSpecification(reader: Reader, revision: number): Promise<FirewallSpecification> {
  const installation = await installationId(reader);
  const policies = (await reader.rows(findPoliciesInForce)).map((row) => ({
    scope: scopeOf(row),
    rules: row.rules.map(({ description: _description, ...rule }) => rule),
  }));
  return { firewallId: installation, revision, installationId: installation, policies };
}
