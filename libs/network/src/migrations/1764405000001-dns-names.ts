import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Backends are told the domains of networks, and the names of ports and load balancers, which they have not heard before. */
export class DnsNames1764405000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('UPDATE network SET desired_revision = desired_revision + 1');
    await runner.query('UPDATE port SET desired_revision = desired_revision + 1');
    await runner.query('UPDATE load_balancer SET desired_revision = desired_revision + 1');
  }

  async down(): Promise<void> {
    // Revisions never fall.
  }
}
