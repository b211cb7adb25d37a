import { expect, test } from 'vitest';
import { Database, databaseRoom, migrate, statement } from '#database';
import { eventsRoom } from '#events';
import { infrastructureRoom } from '#infrastructure';
import { secretsRoom } from '#secrets';
import { testDatabase } from '#testing';
import { networkRoom } from '../room.js';

/** A subnet of before, with the addresses of it that are taken; $4 as `[first, last]` of each pool. */
const addSubnet = statement<never, [id: string, cidr: string, gateway: string, pools: string, taken: string[]]>(
  'spec.subnet_of_before',
  `WITH made AS (
     INSERT INTO network (id, tenant_id, project_id, name, lifecycle) VALUES ('net_' || $1, 'ten', 'prj', $1, 'PRESENT')
   ), blocks AS (
     INSERT INTO subnet (id, tenant_id, project_id, network_id, name, cidr, gateway, pools, lifecycle)
     SELECT $1, 'ten', 'prj', 'net_' || $1, 'default', $2::cidr, $3::inet, jsonb_agg(jsonb_build_object('first', p ->> 0, 'last', p ->> 1)), 'PRESENT'
     FROM jsonb_array_elements($4::jsonb) AS p
   ), balancers AS (
     INSERT INTO load_balancer (id, tenant_id, project_id, name, network_id, backend_id, lifecycle)
     VALUES ('lb_' || $1, 'ten', 'prj', $1, 'net_' || $1, 'bck', 'PRESENT')
   )
   INSERT INTO address_allocation (subnet_id, address, owner_id, tenant_id, project_id)
   SELECT $1, address, 'prt', 'ten', 'prj' FROM unnest($5::inet[]) AS address`,
);
const subnets = statement<{ id: string; kept: string | null; owner_id: string | null; network: number; balancer: number }>(
  'spec.subnets_afterwards',
  `SELECT s.id, host(s.health_check_address) AS kept, a.owner_id, n.desired_revision AS network, l.desired_revision AS balancer
   FROM subnet AS s JOIN network AS n ON n.id = s.network_id JOIN load_balancer AS l ON l.network_id = n.id
   LEFT JOIN address_allocation AS a ON a.subnet_id = s.id AND a.address = s.health_check_address ORDER BY s.id`,
);

test('subnets of before keep a free address, where another stays free, and their backends are told', async () => {
  const home = await testDatabase();
  const open = async (migrations: number): Promise<Database> => {
    const room = { ...networkRoom, migrations: networkRoom.migrations.slice(0, migrations) };
    return Database.open({ url: home.url, rooms: [databaseRoom, secretsRoom, eventsRoom, infrastructureRoom, room], poolSize: 2 });
  };
  const [before, after] = [await open(1), await open(2)];
  try {
    await migrate(before);
    await before.transaction(async (transaction) => {
      const add = async (id: string, cidr: string, gateway: string, pools: string[][], taken: string[] = []): Promise<void> =>
        void (await transaction.execute(addSubnet, id, cidr, gateway, JSON.stringify(pools), taken));
      await add('empty', '10.0.0.0/24', '10.0.0.1', [['10.0.0.1', '10.0.0.254']]);
      await add('taken-top', '10.1.0.0/16', '10.1.255.254', [['10.1.0.1', '10.1.255.254']], ['10.1.255.253']);
      await add('outside', '10.2.0.0/24', '10.2.0.1', [['10.2.0.100', '10.2.0.254']], ['10.2.0.100']);
      const full = ['10.3.0.2', '10.3.0.3', '10.3.0.4', '10.3.0.5', '10.3.0.6'];
      await add('full', '10.3.0.0/29', '10.3.0.1', [['10.3.0.1', '10.3.0.6']], full);
      await add('last-one', '10.4.0.0/29', '10.4.0.1', [['10.4.0.1', '10.4.0.6']], full.slice(1).map((address) => address.replace('10.3', '10.4')));
    });
    await migrate(after);
    expect(await after.rows(subnets)).toEqual([
      { id: 'empty', kept: '10.0.0.254', owner_id: 'empty', network: 2, balancer: 2 },
      { id: 'full', kept: null, owner_id: null, network: 1, balancer: 1 },
      { id: 'last-one', kept: null, owner_id: null, network: 1, balancer: 1 },
      { id: 'outside', kept: '10.2.0.99', owner_id: 'outside', network: 2, balancer: 2 },
      { id: 'taken-top', kept: '10.1.255.252', owner_id: 'taken-top', network: 2, balancer: 2 },
    ]);
  } finally {
    await before.close();
    await after.close();
    await home.drop();
  }
});
