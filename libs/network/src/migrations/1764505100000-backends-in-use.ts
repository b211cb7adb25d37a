import type { MigrationInterface, QueryRunner } from 'typeorm';

const STAND_ON_BACKENDS = ['external_network', 'router', 'network_backend'];
/** What a backend was told of rules: nobody needs to take it back from one that is gone. */
const GO_WITH_BACKENDS = ['security_group_backend', 'firewall_backend'];

/** No backend goes before what stands on it. Rows whose backend has gone already are left as they are. */
export class BackendsInUse1764505100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of STAND_ON_BACKENDS) {
      await runner.query(`ALTER TABLE ${table} ADD CONSTRAINT ${constraintOf(table)} FOREIGN KEY (backend_id) REFERENCES backend (id) NOT VALID`);
    }
    for (const table of GO_WITH_BACKENDS) {
      await runner.query(`ALTER TABLE ${table} ADD CONSTRAINT ${constraintOf(table)}
        FOREIGN KEY (backend_id) REFERENCES backend (id) ON DELETE CASCADE NOT VALID`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of [...STAND_ON_BACKENDS, ...GO_WITH_BACKENDS]) await runner.query(`ALTER TABLE ${table} DROP CONSTRAINT ${constraintOf(table)}`);
  }
}

const constraintOf = (table: string): string => (table.endsWith('_backend') ? `${table}_known` : `${table}_backend`);
