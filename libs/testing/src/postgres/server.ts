import { startEmbeddedPostgres } from '#database/embedded';

/** Where the workers of a run find its server. */
const URL_VARIABLE = 'MUON_TEST_POSTGRES_URL';

/**
 * Vitest's global set-up: one PostgreSQL for the whole run, safe against nothing and gone with it, even when the run is
 * killed. A server named by the variable is used instead.
 */
export default async function startTestServer(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[URL_VARIABLE] !== undefined) return undefined;
  const server = await startEmbeddedPostgres({
    settings: { max_connections: 400, max_wal_size: '4GB', log_checkpoints: false },
  });
  process.env[URL_VARIABLE] = server.url('postgres');
  return async () => {
    delete process.env[URL_VARIABLE];
    await server.stop();
  };
}

export function testServerUrl(databaseName: string): string {
  const url = process.env[URL_VARIABLE];
  if (url === undefined) throw new Error(`${URL_VARIABLE} is not set: run the tests through vitest with the project's configuration.`);
  return Object.assign(new URL(url), { pathname: `/${encodeURIComponent(databaseName)}` }).href;
}
