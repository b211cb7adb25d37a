import { newName } from '../../support/lab.js';
import type { LabTenant } from '../../support/lab-system.js';
import { interleaved, median } from '../support/numbers.js';
import type { LabBench } from './main.js';
import { MANAGERS, swarmByHand, WORKERS } from './swarm-by-hand.js';

const ROUNDS = 3;
const PATIENCE_MS = 600_000;

interface Step {
  name: string;
  startedAt: string | null;
  endedAt: string | null;
}

/** A Swarm from the mutation to ready, against a script of `incus`, `ovn-nbctl` and `docker swarm` that makes one of as many nodes. */
export async function measureSwarm({ muon, report, rounds }: LabBench): Promise<void> {
  await muon.lab.requireNodeImage(muon.incus);
  const tenant = await muon.onboard(newName('bench'));
  const host = await muon.lab.machine('h1');
  const steps = new Map<string, number[]>();
  const byMuon = async (): Promise<number> => {
    const start = performance.now();
    const text = 'mutation ($input: CreateClusterInput!) { createCluster(input: $input) { cluster { id } operation { id } } }';
    const input = {
      projectId: tenant.projectId,
      name: newName('swarm'),
      kind: 'SWARM',
      version: 'swarm',
      controlPlane: { count: MANAGERS, flavor: 'node' },
      nodePools: [{ name: 'workers', flavor: 'node', count: WORKERS }],
    };
    const { createCluster } = await tenant.api.request<{ createCluster: { cluster: { id: string }; operation: { id: string } } }>(text, { input });
    await muon.ended(tenant.api, createCluster.operation.id, PATIENCE_MS);
    const took = performance.now() - start;
    for (const [name, ms] of await stepsOf(tenant, createCluster.operation.id)) steps.set(name, [...(steps.get(name) ?? []), ms]);
    const { deleteCluster } = await tenant.api.request<{ deleteCluster: { operation: { id: string } } }>(
      'mutation ($id: ID!) { deleteCluster(input: { id: $id }) { operation { id } } }',
      { id: createCluster.cluster.id },
    );
    await muon.ended(tenant.api, deleteCluster.operation.id, PATIENCE_MS);
    return took;
  };
  const times = rounds(ROUNDS);
  // Each host's first use of the image is neither's; a quick look does without.
  if (times > 1) await swarmByHand(host, muon.lab.hosts);
  const [clusters = [], scripts = []] = await interleaved(times, [byMuon, async () => swarmByHand(host, muon.lab.hosts)]);
  report.add({
    measure: `a Swarm of ${MANAGERS} managers and ${WORKERS} workers, from the mutation to ready`,
    value: median(clusters),
    unit: 'ms',
    floor: median(scripts),
    against: 'a script, without a load balancer',
  });
  report.note(`Of it, by step: ${[...steps].map(([name, all]) => `${name} ${Math.round(median(all))}`).join(', ')} ms.`);
}

async function stepsOf(tenant: LabTenant, id: string): Promise<[name: string, ms: number][]> {
  const { operation } = await tenant.api.request<{ operation: { steps: Step[] } }>('query ($id: ID!) { operation(id: $id) { steps { name startedAt endedAt } } }', { id });
  return operation.steps.map(({ name, startedAt, endedAt }) => [name, Date.parse(endedAt ?? '') - Date.parse(startedAt ?? '')]);
}
