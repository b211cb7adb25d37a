import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Each subnet keeps an address from which the members of load balancers are checked: the last one that the pools leave
 * out, else a free one of theirs where another stays free. Subnets that are full do without. Backends are told by the
 * repair of what they lack.
 */
export class HealthCheckAddresses1764405000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE subnet ADD COLUMN health_check_address inet,
      ADD CONSTRAINT subnet_health_check_address FOREIGN KEY (id, health_check_address)
        REFERENCES address_allocation (subnet_id, address) DEFERRABLE INITIALLY DEFERRED`);
    await runner.query(`
      WITH kept AS (
        INSERT INTO address_allocation (subnet_id, address, owner_id, tenant_id, project_id)
        SELECT s.id, free.address, s.id, s.tenant_id, s.project_id FROM subnet AS s
        CROSS JOIN LATERAL (
          SELECT each.address, each.in_pools, count(*) FILTER (WHERE each.in_pools) OVER () AS left_in_pools
          FROM (
            SELECT usable.address, EXISTS (
              SELECT FROM jsonb_array_elements(s.pools) AS p
              WHERE usable.address BETWEEN (p ->> 'first')::inet AND (p ->> 'last')::inet
            ) AS in_pools
            FROM (
              SELECT set_masklen(broadcast(s.cidr), 32) - n AS address
              FROM generate_series(1, least(256, broadcast(s.cidr) - s.cidr - 1)) AS n
            ) AS usable
            WHERE usable.address <> s.gateway
              AND NOT EXISTS (SELECT FROM address_allocation AS a WHERE a.subnet_id = s.id AND a.address = usable.address)
          ) AS each
          ORDER BY each.in_pools, each.address DESC LIMIT 1
        ) AS free
        WHERE s.lifecycle <> 'DELETING' AND (NOT free.in_pools OR free.left_in_pools > 1)
        ON CONFLICT (subnet_id, address) DO NOTHING
        RETURNING subnet_id, address
      ), given AS (
        UPDATE subnet AS s SET health_check_address = kept.address FROM kept WHERE s.id = kept.subnet_id RETURNING s.network_id
      ), told AS (
        UPDATE network SET desired_revision = desired_revision + 1 WHERE id IN (SELECT network_id FROM given)
      )
      UPDATE load_balancer SET desired_revision = desired_revision + 1
      WHERE network_id IN (SELECT network_id FROM given) AND lifecycle IN ('CREATING', 'PRESENT')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE subnet DROP COLUMN health_check_address');
    await runner.query('DELETE FROM address_allocation WHERE owner_id = subnet_id');
  }
}
