import { afterEach, describe, expect, it } from 'vitest';
import type { Bench } from './bench.js';
import { walk } from './walk.js';

export function listingConformance(bench: Bench): void {
  afterEach(async () => bench.clear());
  const LIMIT = 2;

  const pages = async <Item>(
    made: string[],
    list: (after: string | null, limit: number) => Promise<Item[]>,
    idOf: (item: Item) => string,
  ): Promise<void> => {
    let ids: string[] = [];
    await bench.eventually('everything that was made is listed', async () => {
      const items = await walk(async (after) => {
        const page = await list(after, LIMIT);
        expect(page.length).toBeLessThanOrEqual(LIMIT);
        return page;
      }, idOf);
      ids = items.map(idOf);
      return made.every((id) => ids.includes(id));
    });
    expect(new Set(ids).size, 'nothing is listed twice').toBe(ids.length);
    expect(ids, 'in the order of ids').toEqual([...ids].sort());
  };

  it('machines come in pages, each once', async (context) => {
    bench.needs(context, 'compute');
    const made: string[] = [];
    for (let count = 0; count < 3; count += 1) made.push((await bench.machine()).machineId);
    const { compute } = bench.driver;
    await pages(made, async (after, limit) => compute.listMachines(bench.call(), after, limit), (machine) => machine.machineId);
  });

  it('disks come in pages, each once', async (context) => {
    bench.needs(context, 'storage');
    const made: string[] = [];
    for (let count = 0; count < 5; count += 1) made.push((await bench.disk({ sizeGib: 1 })).diskId);
    const { storage } = bench.driver;
    await pages(made, async (after, limit) => storage.listDisks(bench.call(), after, limit), (disk) => disk.diskId);
  });

  it('parts of networks come in pages, each once', async (context) => {
    bench.needs(context, 'network');
    const network = await bench.network();
    const made = [network.networkId];
    for (let count = 0; count < 4; count += 1) {
      const addresses = { macAddress: `02:00:00:c0:ff:1${count}`, ipAddress: `10.201.0.${30 + count}` };
      made.push((await bench.port(network, addresses)).portId);
    }
    await pages(made, async (after, limit) => bench.driver.network.listParts(bench.call(), after, limit), (part) => part.id);
  });

  describe('another connection', () => {
    it('sees the same backend', async (context) => {
      bench.needs(context, 'compute');
      const second = await bench.hook(context, 'connectAgain')();
      try {
        const { machineId } = await bench.machine();
        expect(await second.compute.getMachine(bench.call(), machineId)).toEqual(await bench.observed(machineId));
        await bench.finish(async (call) => second.compute.deleteMachine(call, machineId));
        expect(await bench.driver.compute.getMachine(bench.call(), machineId)).toBeUndefined();
      } finally {
        await second.close();
      }
    });
  });

  describe('watching', () => {
    it('hints at changes until its signal aborts', async (context) => {
      bench.needs(context, 'compute');
      const { compute } = bench.driver;
      const { machineId } = await bench.machine();
      const ending = new AbortController();
      const seen: string[] = [];
      const watch = bench.driver.watch((event) => seen.push(`${event.kind} ${event.id}`), ending.signal);
      // One hint may be missed, so the machine changes until one comes.
      await bench.eventually('a hint at the machine', async () => {
        await bench.finish(async (call) => compute.startMachine(call, machineId));
        await bench.finish(async (call) => compute.stopMachine(call, machineId, true));
        return seen.includes(`MACHINE ${machineId}`);
      });
      ending.abort();
      await watch;
      const afterwards = seen.length;
      await bench.finish(async (call) => compute.startMachine(call, machineId));
      expect(seen).toHaveLength(afterwards);
    });
  });

  describe('tending', () => {
    it('goes on until its signal aborts, and another who does it too is in nobody’s way', async (context) => {
      bench.needs(context, 'network');
      const ending = new AbortController();
      const ended: string[] = [];
      const tend = async (name: string): Promise<void> => {
        await bench.driver.tend(ending.signal);
        ended.push(name);
      };
      const both = [tend('one'), tend('other')];
      await bench.network();
      expect(ended).toEqual([]);
      ending.abort();
      await Promise.all(both);
      const late = AbortSignal.abort();
      await bench.driver.tend(late);
    });
  });
}
