import { assert, defineId } from '#core';
import type { Reader } from '#database';
import { findInstallation } from './installation.sql.js';

export const installationIdKind = defineId('ins');

/** What every backend object carries so that a sweep can tell whose it is; made once, by the migration. */
export async function installationId(reader: Reader): Promise<string> {
  const row = await reader.first(findInstallation);
  assert(row !== undefined, 'the database has no installation id');
  return row.id;
}
