import type { MigrationInterface, QueryRunner } from 'typeorm';

const HOLDERS = {
  router: { constraint: 'router_external_address', column: 'external_address' },
  floating_ip: { constraint: 'floating_ip_address', column: 'address' },
};

/** Routers and floating IPs have only addresses of external networks that are their own. */
export class AddressOwners1764504000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE UNIQUE INDEX external_address_of_owner ON external_address (external_network_id, address, owner_id)');
    for (const [table, { constraint, column }] of Object.entries(HOLDERS)) {
      await runner.query(`
        ALTER TABLE ${table} DROP CONSTRAINT ${constraint},
          ADD CONSTRAINT ${constraint} FOREIGN KEY (external_network_id, ${column}, id)
            REFERENCES external_address (external_network_id, address, owner_id) DEFERRABLE INITIALLY DEFERRED`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [table, { constraint, column }] of Object.entries(HOLDERS)) {
      await runner.query(`
        ALTER TABLE ${table} DROP CONSTRAINT ${constraint},
          ADD CONSTRAINT ${constraint} FOREIGN KEY (external_network_id, ${column})
            REFERENCES external_address (external_network_id, address) DEFERRABLE INITIALLY DEFERRED`);
    }
    await runner.query('DROP INDEX external_address_of_owner');
  }
}
