import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Those that a binding or a membership makes owners, or may make: they, and what signs them in, stay as they are until it ends. */
const HOLD = [
  `CREATE FUNCTION muon_hold_people(principal_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM FROM principal WHERE id = ANY(principal_ids) ORDER BY id FOR SHARE;
    PERFORM FROM issuer WHERE id IN (SELECT issuer_id FROM principal WHERE id = ANY(principal_ids)) ORDER BY id FOR SHARE;
  END $$`,
  `CREATE FUNCTION muon_owner_added() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE members text[];
  BEGIN
    IF NEW.group_id IS NULL THEN
      PERFORM muon_hold_people(ARRAY[NEW.principal_id]);
      RETURN NEW;
    END IF;
    PERFORM FROM issuer WHERE id = (SELECT issuer FROM principal_group WHERE id = NEW.group_id) FOR SHARE;
    SELECT array_agg(held.principal_id) INTO members FROM (
      SELECT principal_id FROM group_membership WHERE group_id = NEW.group_id ORDER BY principal_id FOR SHARE) AS held;
    PERFORM muon_hold_people(members);
    RETURN NEW;
  END $$`,
  `CREATE TRIGGER role_binding_hold BEFORE INSERT ON role_binding FOR EACH ROW
   WHEN (NEW.role = 'OWNER') EXECUTE FUNCTION muon_owner_added()`,
  `CREATE FUNCTION muon_member_added() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM muon_hold_people(ARRAY[NEW.principal_id]);
    RETURN NEW;
  END $$`,
  `CREATE TRIGGER group_membership_hold BEFORE INSERT ON group_membership FOR EACH ROW EXECUTE FUNCTION muon_member_added()`,
];

/**
 * The guard of the last owner looks at who loses a scope; this is its other half, for who gains one. Somebody who is being
 * disabled while another makes them an owner is looked at by neither: one of the two has to wait for the other.
 */
export class OwnersHeld1764000402004 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const text of HOLD) await runner.query(text);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER group_membership_hold ON group_membership');
    await runner.query('DROP TRIGGER role_binding_hold ON role_binding');
    await runner.query('DROP FUNCTION muon_member_added, muon_owner_added, muon_hold_people');
  }
}
