import { MuonError } from '#core';
import type { Outcome, SecurityGroupSpecification } from '#drivers';
import { Transaction } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import { Draft } from '../draft.js';
import { groupAcls } from '../firewall/rules.js';
import { carries, marksOf, requireOwn, revisionOf } from '../marks.js';
import { groupName, rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';
import { told } from '../specification.js';
import { ensureAcls } from './acls.js';

/** A security group is a port group: its rules stand on it, and ports join and leave it themselves. */
export class SecurityGroups {
  constructor(
    private readonly backend: Store,
    private readonly tiers: boolean,
  ) {}

  async ensure(time: CallTime, group: SecurityGroupSpecification): Promise<Outcome<void>> {
    const { securityGroupId: id, revision, ownership, rules } = group;
    const uuid = rowUuid('Port_Group', id);
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const rows = reading.select('Port_Group', [['_uuid', '==', uuid]], ['name', 'acls', 'external_ids']);
      const acls = reading.select('ACL', [carries({ ID: id })]);
      const found = await this.backend.read(time, reading);
      const [row] = found.of(rows);
      requireOwn(this.backend.id, ownership.installationId, 'security group', id, row);
      if (row !== undefined && revisionOf(row.external_ids) > revision) return undefined;
      const draft = new Draft();
      const name = groupName(id);
      draft.ensure('Port_Group', uuid, row, {
        name,
        acls: ensureAcls(draft, uuid, groupAcls(name, rules, groupName, this.tiers), found.of(acls), { id, revision, ownership }),
        external_ids: marksOf({ kind: 'SECURITY_GROUP', id, revision, ownership }, told(group)),
      });
      return draft;
    });
  }

  async remove(time: CallTime, id: string): Promise<Outcome<void>> {
    const uuid = rowUuid('Port_Group', id);
    return this.backend.settle(time, async () => {
      const reading = new Transaction<Northbound>();
      const rows = reading.select('Port_Group', [['_uuid', '==', uuid]], ['ports', 'external_ids']);
      const [row] = (await this.backend.read(time, reading)).of(rows);
      if (row === undefined) return undefined;
      requireOwn(this.backend.id, this.backend.settings.installationId, 'security group', id, row);
      if (row.ports.size > 0) throw new MuonError('INVALID_STATE', `The security group "${id}" still has ports.`, { fault: 'OPERATOR' });
      const draft = new Draft();
      draft.expect('Port_Group', uuid, row);
      // No port may come meanwhile: it would be open.
      draft.expectMembers('Port_Group', uuid, 'ports', row.ports);
      draft.delete('Port_Group', uuid);
      return draft;
    });
  }
}
