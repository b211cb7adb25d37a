import { afterEach, expect, it } from 'vitest';
import type { ObservedNetworkPart, PortSpecification } from '../network.js';
import type { MachineInterface } from '../compute.js';
import type { Bench } from './bench.js';

const cardOn = ({ portId, networkId, macAddress, ipAddress }: PortSpecification): MachineInterface => ({ portId, networkId, macAddress, ipAddress });

/** What machines and networks of one backend have to do with each other. */
export function joinedConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  it('a port is bound where its machine runs, also after a move, and nowhere when that is gone', async (context) => {
    bench.needs(context, 'compute', 'network', 'moveStopped');
    const boundHost = bench.hook(context, 'boundHost');
    const target = bench.otherHost(context);
    const { compute, network: driver } = bench.driver;
    const network = await bench.network();
    const port = await bench.port(network);
    const isBoundTo = async (host: string | undefined): Promise<void> =>
      bench.eventually(`the port is bound to ${host ?? 'no host'}`, async () => (await boundHost(port.portId)) === host);
    const ending = new AbortController();
    const tending = bench.driver.tend(ending.signal);
    try {
      const { machineId } = await bench.machine({ interfaces: [cardOn(port)] });
      expect((await bench.observed(machineId)).portIds).toEqual([port.portId]);
      await bench.finish(async (call) => compute.startMachine(call, machineId));
      await isBoundTo(bench.host);
      expect(await bench.finish(async (call) => driver.realised(call, network.networkId))).toEqual({ pendingHostNames: [] });
      await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
      await bench.finish(async (call) => compute.moveMachine(call, machineId, target));
      await bench.finish(async (call) => driver.ensurePort(call, { ...port, revision: 2, hostName: target }));
      await bench.finish(async (call) => compute.startMachine(call, machineId));
      await isBoundTo(target);
      await bench.finish(async (call) => compute.deleteMachine(call, machineId));
      await isBoundTo(undefined);
    } finally {
      ending.abort();
      await tending;
    }
  });

  it('one watch hints at machines and at parts of networks', async (context) => {
    bench.needs(context, 'compute', 'network');
    const damage = bench.hook(context, 'damagePart');
    const { compute, network: driver } = bench.driver;
    const { machineId } = await bench.machine();
    const port = await bench.port(await bench.network());
    const ending = new AbortController();
    const seen = new Set<string>();
    const watch = bench.driver.watch(({ kind, id }) => void seen.add(`${kind} ${id}`), ending.signal);
    try {
      // A hint may be missed, so what it is about happens until one comes.
      await bench.eventually('a hint at the machine', async () => {
        await bench.finish(async (call) => compute.startMachine(call, machineId));
        await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
        return seen.has(`MACHINE ${machineId}`);
      });
      await damage((await bench.part(port.portId)) as ObservedNetworkPart);
      await bench.eventually('a hint at the port', async () => seen.has(`NETWORK ${port.portId}`));
      await bench.finish(async (call) => driver.ensurePort(call, port));
    } finally {
      ending.abort();
      await watch;
    }
  });

  it('a machine that is deleted keeps its port, and a port that is removed keeps the machine', async (context) => {
    bench.needs(context, 'compute', 'network');
    const { compute, network: driver } = bench.driver;
    const network = await bench.network();
    const [one, other] = [await bench.port(network), await bench.port(network, { macAddress: '02:00:00:c0:ff:02', ipAddress: '10.201.0.11' })];
    const [first, second] = [await bench.machine({ interfaces: [cardOn(one)] }), await bench.machine({ interfaces: [cardOn(other)] })];
    await bench.finish(async (call) => compute.deleteMachine(call, first.machineId));
    await bench.showsPart(one.portId, 1);
    await bench.finish(async (call) => driver.removePort(call, other.portId));
    expect(await bench.observed(second.machineId)).toMatchObject({ machineId: second.machineId, power: 'STOPPED' });
  });
}
