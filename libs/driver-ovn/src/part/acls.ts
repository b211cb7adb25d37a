import type { Draft } from '../draft.js';
import type { Acl } from '../firewall/rules.js';
import { marksOf, type MarkedResource } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';

/**
 * Rules that stand on a port group, each a row that never changes: another rule is another row. Those that no group holds
 * any more go by themselves.
 * @param seen rules of the same resource, of this port group or of others
 * @returns the value of the group's column
 */
export function ensureAcls(
  draft: Draft,
  groupUuid: string,
  acls: readonly Acl[],
  seen: readonly (Northbound['ACL'] & { _uuid: string })[],
  resource: Omit<MarkedResource, 'kind'>,
): ReadonlySet<string> {
  const known = new Map(seen.map((row) => [row._uuid, row]));
  const external_ids = marksOf({ ...resource, kind: 'RULE' });
  return new Set(
    acls.map((acl) => {
      const { direction, priority, action, match } = acl;
      const uuid = rowUuid('ACL', `${groupUuid} ${direction} ${priority} ${action} ${match}`);
      draft.ensure('ACL', uuid, known.get(uuid), { ...acl, external_ids });
      return uuid;
    }),
  );
}
