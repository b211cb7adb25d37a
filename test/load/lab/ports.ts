import { randomBytes } from 'node:crypto';
import { typeidUnboxed } from 'typeid-js';
import { openOvnNetwork } from '#driver-ovn';
import type { DriverCall, Outcome } from '#drivers';
import { CONTROLLER, NORTHBOUND_PORT, SOUTHBOUND_PORT } from '../../../apps/lab/src/layout.js';
import { interleaved, percentile } from '../support/numbers.js';
import type { LabBench } from './main.js';

const ROUNDS = 100;
const CALL_TIMEOUT_MS = 30_000;

/** A port from the call until every host that carries the network has it, against the same wait of OVN's own tool. */
export async function measurePorts({ muon, report, rounds }: LabBench): Promise<void> {
  const ownership = { installationId: typeidUnboxed('ins'), tenantId: typeidUnboxed('ten'), projectId: typeidUnboxed('prj') };
  const address = CONTROLLER.managementAddress;
  await using driver = await openOvnNetwork({
    backendId: 'bench',
    installationId: ownership.installationId,
    northbound: [`tcp:${address}:${NORTHBOUND_PORT}`],
    southbound: [`tcp:${address}:${SOUTHBOUND_PORT}`],
  });
  const networkId = typeidUnboxed('net');
  const subnetId = typeidUnboxed('sub');
  await finish((call) => driver.ensureNetwork(call, { networkId, revision: 1, ownership, subnets: [{ subnetId, cidr: '10.60.0.0/16', gatewayAddress: '10.60.0.1' }] }));
  const ports: string[] = [];
  const byMuon = async (): Promise<number> => {
    const portId = typeidUnboxed('prt');
    const number = ports.push(portId);
    const hostName = muon.lab.hosts[number % muon.lab.hosts.length]?.name ?? '';
    const macAddress = ['02', ...(randomBytes(5).toString('hex').match(/../g) ?? [])].join(':');
    const start = performance.now();
    await finish((call) =>
      driver.ensurePort(call, { portId, revision: 1, ownership, networkId, subnetId, macAddress, ipAddress: `10.60.${number >> 8}.${(number & 255) + 2}`, hostName }),
    );
    await finish((call) => driver.realised(call, networkId));
    return performance.now() - start;
  };
  const byHand = async (): Promise<number> => {
    const start = performance.now();
    await muon.lab.northbound('--wait=hv', 'sync');
    return performance.now() - start;
  };
  try {
    const [made = [], synced = []] = await interleaved(rounds(ROUNDS), [byMuon, byHand]);
    for (const share of [0.5, 0.99]) {
      report.add({
        measure: `a port until the hosts have it, p${share * 100}`,
        value: percentile(made, share),
        unit: 'ms',
        floor: percentile(synced, share),
        against: 'ovn-nbctl --wait=hv sync',
      });
    }
  } finally {
    for (const portId of ports) await finish((call) => driver.removePort(call, portId));
    await finish((call) => driver.removeNetwork(call, networkId));
  }
}

async function finish<Value>(attempt: (call: DriverCall) => Promise<Outcome<Value>>): Promise<Value> {
  for (;;) {
    const outcome = await attempt({ idempotencyKey: typeidUnboxed('call'), timeoutMs: CALL_TIMEOUT_MS, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
    if (outcome.state === 'DONE') return outcome.value;
  }
}
