import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Secret1764000100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE secret (
        id text COLLATE "C" NOT NULL,
        owner_id text COLLATE "C" NOT NULL,
        tenant_id text COLLATE "C",
        project_id text COLLATE "C",
        purpose text NOT NULL,
        key_id text COLLATE "C" NOT NULL,
        wrapped_key bytea NOT NULL,
        ciphertext bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        rotated_at timestamptz,
        CONSTRAINT secret_pkey PRIMARY KEY (id),
        CONSTRAINT secret_scope CHECK (tenant_id IS NOT NULL OR project_id IS NULL),
        CONSTRAINT secret_purpose_length CHECK (length(purpose) BETWEEN 1 AND 100),
        CONSTRAINT secret_ciphertext_size CHECK (octet_length(ciphertext) BETWEEN 30 AND 66000)
      )`);
    await runner.query('CREATE INDEX secret_owner ON secret (owner_id)');
    await runner.query('CREATE INDEX secret_key ON secret (key_id, id)');
    // Encrypted bytes do not compress: trying would only cost time.
    await runner.query('ALTER TABLE secret ALTER COLUMN ciphertext SET STORAGE EXTERNAL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE secret');
  }
}
