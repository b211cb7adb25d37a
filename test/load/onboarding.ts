import { FIRST_NUMBER, scriptOf, summaryOf, writesOf, type Writes } from './floor/same-writes.js';
import type { Bench } from './support/bench.js';
import { graphqlRequest, HttpConnection } from './support/http.js';
import { CLIENTS, writeThroughput } from './write-throughput.js';

const ONBOARD = `mutation ($input: OnboardTenantInput!) {
  onboardTenant(input: $input) { tenant { id name } project { id name } ownerToken }
}`;
const REQUESTS = 400;

/** What a provider sends for a customer: limits, an owner with a token, a zone, and a first project with a part of it. */
function onboarding(name: string): Record<string, unknown> {
  const line = (resourceKey: string, limit: number): Record<string, unknown> => ({ resourceKey, limit });
  return {
    name,
    displayName: 'A customer',
    owners: [{ name: 'owner' }],
    ownerToken: true,
    zones: ['zone-1'],
    quota: [line('vm.count', 50), line('vm.cpu', 200), line('vm.memory', 400_000), line('disk.capacity', 10_000)],
    project: { name: 'main', quota: [line('vm.count', 10)] },
  };
}

/** Tenants onboarded per second. */
export async function measureOnboarding(bench: Bench): Promise<void> {
  const connections = await Promise.all(Array.from({ length: CLIENTS }, () => HttpConnection.open(bench.muon.api.url)));
  let number = 0;
  const send = async (lane: number): Promise<string> => {
    number += 1;
    const name = `customer-${process.hrtime.bigint()}-${number}`;
    const answer = await connections[lane]?.send(graphqlRequest(bench.muon.token, ONBOARD, { input: onboarding(name) }));
    const body = JSON.parse(answer?.body.toString() ?? '') as { data?: { onboardTenant?: { tenant: { id: string } } } };
    if (body.data?.onboardTenant === undefined) throw new Error(`onboarding was refused: ${JSON.stringify(body)}`);
    return name;
  };
  const scripts = bench.pgbench === undefined ? [] : [await floorScript(bench, await send(0))];
  await writeThroughput(bench, { name: 'onboardTenant', requests: REQUESTS, send, scripts });
  for (const connection of connections) connection.close();
}

async function floorScript(bench: Bench, name: string): Promise<string> {
  const sample = await writesOf(bench.muon.databaseUrl, 'scope', 'name', name);
  const script = scriptOf(sample, {
    order: ['scope', 'tenant', 'project', 'zone_grant', 'principal', 'role_binding', 'api_token', 'quota', 'quota_counter'].map((table) => `public.${table}`),
    instead: {},
    replaced: { [name]: `'floor-' || :number`, ...hashOf(sample) },
  });
  await bench.pgbench?.run(bench.floorUrl, [script], { clients: 1, transactions: 1, variables: { counter: 0, round: 0, base: 0, width: 1 } });
  const written = await writesOf(bench.floorUrl, 'scope', 'name', `floor-${FIRST_NUMBER + 1}`);
  if (summaryOf(sample) !== summaryOf(written)) {
    throw new Error(`the floor does not write what an onboarding writes:\n${summaryOf(sample)}\n${summaryOf(written)}`);
  }
  return script;
}

/** A token's hash is no other's. */
function hashOf(sample: Writes): Record<string, string> {
  const hash = sample.tables.get('public.api_token')?.[0]?.get('secret_hash')?.literal;
  return hash === undefined ? {} : { [hash.slice(1, -1)]: `'\\x' || lpad(:number::text, 64, '0')` };
}
