import { runOn } from '../../../apps/lab/src/host/namespace.js';
import { PROFILE, TINY_IMAGE } from '../../../apps/lab/src/layout.js';
import { newName, removeInstance } from '../../support/lab.js';
import { interleaved, median } from '../support/numbers.js';
import type { LabBench } from './main.js';

const ROUNDS = 10;
const BURSTS = 3;
const BURST = 20;
const LAUNCH_TIMEOUT_MS = 120_000;

/** A machine from the mutation to the end of its operation, against `incus launch` of the same image, which has no network. */
export async function measureMachines({ muon, report, rounds }: LabBench): Promise<void> {
  const tenant = await muon.onboard(newName('bench'));
  const networkId = await muon.network(tenant, 'net');
  const byMuon = async (count: number): Promise<number> => {
    const start = performance.now();
    const asked = await Promise.all(Array.from({ length: count }, async () => muon.ask(tenant, networkId, newName('machine'))));
    await Promise.all(asked.map(async ({ operationId }) => muon.ended(tenant.api, operationId)));
    const took = performance.now() - start;
    await Promise.all(asked.map(async ({ id }) => muon.delete(tenant, id)));
    return took;
  };
  const host = await muon.lab.machine('h1');
  const byHand = async (count: number): Promise<number> => {
    const names = Array.from({ length: count }, () => newName('by-hand'));
    const start = performance.now();
    const launch = async (name: string, index: number): Promise<unknown> => {
      const target = muon.lab.hosts[index % muon.lab.hosts.length]?.name ?? '';
      return runOn(host, 'incus', ['launch', TINY_IMAGE, name, '--profile', PROFILE, '--target', target], { timeoutMs: LAUNCH_TIMEOUT_MS });
    };
    await Promise.all(names.map(launch));
    const took = performance.now() - start;
    for (const name of names) await removeInstance(muon.incus, name);
    return took;
  };
  // Each host's first use of the image is neither's.
  await byHand(muon.lab.hosts.length);
  for (const [count, times] of [[1, ROUNDS], [BURST, BURSTS]] as const) {
    const [machines = [], launches = []] = await interleaved(rounds(times), [() => byMuon(count), () => byHand(count)]);
    report.add({
      measure: count === 1 ? 'a machine, from the mutation to running' : `${count} machines at once, until all run`,
      value: median(machines),
      unit: 'ms',
      floor: median(launches),
      against: count === 1 ? 'incus launch' : `${count} incus launch at once`,
    });
  }
}
