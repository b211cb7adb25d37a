import type { MigrationInterface, QueryRunner } from 'typeorm';

export class DiskAttachment1764503000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE disk ADD COLUMN attachment text');
    await runner.query(
      `ALTER TABLE disk
         ADD CONSTRAINT disk_attachment CHECK (attachment IN ('ATTACHING', 'ATTACHED', 'DETACHING')),
         ADD CONSTRAINT disk_attached CHECK ((attachment IS NOT NULL) = (owner_id IS NOT NULL AND image_reference IS NULL))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE disk DROP COLUMN attachment');
  }
}
