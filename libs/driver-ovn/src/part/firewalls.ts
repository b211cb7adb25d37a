import { invalidInput } from '#core';
import type { FirewallPolicyRule, FirewallScope, FirewallSpecification, Outcome } from '#drivers';
import { Transaction } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { MAX_ACLS, operatorAcls, type Acl } from '../firewall/rules.js';
import { carries, Mark, marksOf, requireOwn, revisionOf, type ExternalIds } from '../marks.js';
import { rowUuid, scopeName, scopeSeed } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { told } from '../specification.js';
import { ensureAcls } from './acls.js';

/** The scope of what is said of all ports. */
const ALL = 'ALL';

type GroupRow = Pick<Northbound['Port_Group'], 'name' | 'ports' | 'acls' | 'external_ids'> & { _uuid: string };

/** What is there of a firewall: its own row, and its port groups by their scope. */
interface Found {
  main: Pick<GroupRow, 'external_ids'> | undefined;
  groups: ReadonlyMap<string, GroupRow>;
  acls: readonly (Northbound['ACL'] & { _uuid: string })[];
}

export const scopeUuid = (installationId: string, scope: string): string => rowUuid('Port_Group', scopeSeed(installationId, scope));

/** The port groups of which a port is in the first that is there: the narrower a scope, the more of the firewall its group has. */
export const scopesOf = (tenantId: string, projectId: string): string[] => [projectId, tenantId, ALL];

/**
 * What operators say is one port group for each scope that a policy has, with all rules that are about its ports: those of
 * wider scopes too. A port is in one of them, so the rules there are in one order, and a PASS knows all that it must skip.
 */
export class Firewalls {
  constructor(
    private readonly backend: Store,
    private readonly tiers: boolean,
  ) {}

  async ensure(time: CallTime, firewall: FirewallSpecification): Promise<Outcome<void>> {
    const wanted = this.#wanted(firewall);
    // Rules first and ports then: whatever a port is in meanwhile, old or new, is complete.
    const ruled = await this.backend.settle(time, async () => this.#planRules(time, firewall, wanted));
    return ruled.state === 'DONE' ? this.backend.settle(time, async () => this.#planPorts(time, firewall, wanted)) : ruled;
  }

  /** The rules of each scope that has any. @throws INVALID_INPUT when there are too many */
  #wanted({ installationId, policies }: FirewallSpecification): ReadonlyMap<string, Acl[]> {
    const scopes = new Map(policies.filter(({ rules }) => rules.length > 0).map(({ scope }) => [keyOf(scope), scope]));
    return new Map(
      [...scopes].map(([key, scope]) => {
        const rules = policies.flatMap((policy): FirewallPolicyRule[] => (isWithin(scope, policy.scope) ? policy.rules : []));
        const acls = operatorAcls(scopeName(scopeUuid(installationId, key)), rules, this.tiers);
        if (acls !== undefined) return [key, acls];
        const message = `The rules for "${key}" become more than ${MAX_ACLS} in OVN: make fewer or wider PASS rules, or put them behind others.`;
        throw invalidInput('firewall.policies', message, { maximum: MAX_ACLS });
      }),
    );
  }

  async #find(time: CallTime, { firewallId, installationId, revision }: FirewallSpecification): Promise<Found | undefined> {
    const reading = new Transaction<Northbound>();
    const mains = reading.select('Port_Group', [['_uuid', '==', rowUuid('Port_Group', firewallId)]], ['external_ids']);
    const groups = reading.select('Port_Group', [carries({ KIND: 'FIREWALL_SCOPE', INSTALLATION: installationId })], ['name', 'ports', 'acls', 'external_ids']);
    const acls = reading.select('ACL', [carries({ ID: firewallId })]);
    const found = await this.backend.read(time, reading);
    const [main] = found.of(mains);
    requireOwn(this.backend.id, installationId, 'firewall', firewallId, main);
    if ([...found.of(mains), ...found.of(groups)].some((row) => revisionOf(row.external_ids) > revision)) return undefined;
    return { main, groups: new Map(found.of(groups).map((row) => [row.external_ids.get(Mark.SCOPE) ?? '', row])), acls: found.of(acls) };
  }

  async #planRules(time: CallTime, firewall: FirewallSpecification, wanted: ReadonlyMap<string, Acl[]>): Promise<Draft | undefined> {
    const { firewallId: id, installationId, revision } = firewall;
    const found = await this.#find(time, firewall);
    if (found === undefined) return undefined;
    const draft = new Draft();
    const resource = { id, revision, ownership: { installationId } };
    for (const [scope, acls] of wanted) {
      const uuid = scopeUuid(installationId, scope);
      draft.ensure('Port_Group', uuid, found.groups.get(scope), {
        name: scopeName(uuid),
        acls: ensureAcls(draft, uuid, acls, found.acls, resource),
        external_ids: marksOf({ ...resource, kind: 'FIREWALL_SCOPE' }, { [Mark.SCOPE]: scope }),
      });
    }
    return draft;
  }

  /** Every port goes where it belongs, also those that somebody has taken out, and groups of scopes that are over go. */
  async #planPorts(time: CallTime, firewall: FirewallSpecification, wanted: ReadonlyMap<string, Acl[]>): Promise<Draft | undefined> {
    const { firewallId: id, installationId, revision } = firewall;
    const found = await this.#find(time, firewall);
    if (found === undefined) return undefined;
    const members = await this.#members(time, installationId, new Set(wanted.keys()));
    const draft = new Draft();
    for (const [scope, group] of found.groups) {
      const uuid = group._uuid;
      draft.expect('Port_Group', uuid, group);
      if (!wanted.has(scope)) {
        // A port that comes meanwhile would be nowhere.
        draft.expectMembers('Port_Group', uuid, 'ports', group.ports);
        draft.delete('Port_Group', uuid);
        continue;
      }
      const belong = members.get(scope) ?? new Set<string>();
      const missing = [...belong].filter((port) => !group.ports.has(port));
      const strange = [...group.ports].filter((port) => !belong.has(port));
      if (missing.length > 0) draft.join('Port_Group', uuid, 'ports', ...missing);
      if (strange.length > 0) draft.leave('Port_Group', uuid, 'ports', ...strange);
    }
    const uuid = rowUuid('Port_Group', id);
    draft.ensure('Port_Group', uuid, found.main, {
      name: scopeName(uuid),
      external_ids: marksOf({ kind: 'FIREWALL', id, revision, ownership: { installationId } }, told(firewall)),
    });
    return draft;
  }

  /** The ports of each scope: all of them that are in no narrower one. */
  async #members(time: CallTime, installationId: string, scopes: ReadonlySet<string>): Promise<ReadonlyMap<string, Set<string>>> {
    const members = new Map<string, Set<string>>([...scopes].map((scope) => [scope, new Set()]));
    if (scopes.size === 0) return members;
    const reading = new Transaction<Northbound>();
    const ports = reading.select('Logical_Switch_Port', [carries({ KIND: 'PORT', INSTALLATION: installationId })], ['external_ids']);
    for (const { _uuid, external_ids: marks } of (await this.backend.read(time, reading)).of(ports)) {
      const scope = scopesOf(markOf(marks, 'TENANT'), markOf(marks, 'PROJECT')).find((each) => scopes.has(each));
      if (scope !== undefined) members.get(scope)?.add(_uuid);
    }
    return members;
  }

  async remove(time: CallTime, id: string): Promise<Outcome<void>> {
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const rows = reading.select('Port_Group', [carries({ ID: id })], ['external_ids']);
      const found = (await this.backend.read(time, reading)).of(rows);
      const draft = new Draft();
      for (const row of found) {
        requireOwn(this.backend.id, this.backend.settings.installationId, 'firewall', id, row);
        draft.expect('Port_Group', row._uuid, row);
        draft.delete('Port_Group', row._uuid);
      }
      return draft;
    });
  }
}

const markOf = (marks: ExternalIds, name: 'TENANT' | 'PROJECT'): string => marks.get(Mark[name]) ?? '';

function keyOf(scope: FirewallScope): string {
  if (scope.kind === 'ALL') return ALL;
  return scope.kind === 'TENANT' ? scope.tenantId : scope.projectId;
}

/** Whether what is said of `outer` is about the ports of `scope`. */
function isWithin(scope: FirewallScope, outer: FirewallScope): boolean {
  if (outer.kind === 'ALL') return true;
  if (outer.kind === 'TENANT') return scope.kind !== 'ALL' && scope.tenantId === outer.tenantId;
  return scope.kind === 'PROJECT' && scope.projectId === outer.projectId;
}
