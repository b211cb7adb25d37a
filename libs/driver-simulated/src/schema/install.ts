import { createHash } from 'node:crypto';
import type pg from 'pg';
import { ANSWERS } from './answers.sql.js';
import { CALLS } from './calls.sql.js';
import { DISKS } from './disks.sql.js';
import { GUESTS } from './guests.sql.js';
import { HOSTS } from './hosts.sql.js';
import { MACHINES } from './machines.sql.js';
import { NETWORK } from './network.sql.js';
import { TABLES } from './tables.sql.js';
import { WORLD } from './world-functions.sql.js';

/** Rises when the text below changes, so that an older program beside a newer one leaves the newer one's alone. */
const VERSION = 6;

const DEFINITIONS = [TABLES, ANSWERS, MACHINES, GUESTS, DISKS, NETWORK, HOSTS, CALLS, WORLD].join('\n');
const FINGERPRINT = createHash('sha256').update(DEFINITIONS).digest('hex');

const PREPARE = `
  CREATE SCHEMA IF NOT EXISTS simulation;
  CREATE TABLE IF NOT EXISTS simulation.installed (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), version int NOT NULL, fingerprint text NOT NULL)`;

/** Makes the simulated world's tables and functions when they are missing or older; any number of processes may ask at once. */
export async function installSimulation(client: pg.ClientBase): Promise<void> {
  if (await isInstalled(client)) return;
  await client.query('BEGIN');
  try {
    await client.query(`SELECT pg_advisory_xact_lock(hashtext('muon.simulation'))`);
    if (!(await isInstalled(client))) {
      await client.query(PREPARE);
      await client.query(DEFINITIONS);
      await client.query(
        `INSERT INTO simulation.installed (version, fingerprint) VALUES ($1, $2)
         ON CONFLICT (one) DO UPDATE SET version = excluded.version, fingerprint = excluded.fingerprint`,
        [VERSION, FINGERPRINT],
      );
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function isInstalled(client: pg.ClientBase): Promise<boolean> {
  const table = await client.query<{ exists: boolean }>(`SELECT to_regclass('simulation.installed') IS NOT NULL AS exists`);
  if (table.rows[0]?.exists !== true) return false;
  type Installed = { version: number; fingerprint: string };
  const found = await client.query<Installed>('SELECT version, fingerprint FROM simulation.installed');
  const installed = found.rows[0];
  return installed !== undefined && (installed.version > VERSION || installed.fingerprint === FINGERPRINT);
}
