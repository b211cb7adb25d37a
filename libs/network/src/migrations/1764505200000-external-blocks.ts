import type { MigrationInterface, QueryRunner } from 'typeorm';

/** External networks of the same cables have no address in common: who has made such a pair must delete one of the two first. */
export class ExternalBlocks1764505200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE external_network ADD CONSTRAINT external_network_overlap
      EXCLUDE USING gist (backend_id WITH =, physical_network WITH =, cidr inet_ops WITH &&)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE external_network DROP CONSTRAINT external_network_overlap');
  }
}
