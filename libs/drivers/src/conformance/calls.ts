import { afterEach, describe, expect, it, type TestContext } from 'vitest';
import { sleep } from '#core';
import type { Outcome } from '../call.js';
import { CAPABILITIES, type Capabilities } from '../capabilities.js';
import type { Driver } from '../driver.js';
import type { Bench } from './bench.js';
import { ENSURE_ABSENCE, everyCall, NEED_THEIR_RESOURCE, type NamedCall } from './every-call.js';

/** No call may take longer than its own time and this. */
const GRACE_MS = 5_000;

/** Rules that hold for every method: what it says of the unknown, how it ends, when it must not be made at all. */
export function callConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  describe('unknown ids', () => {
    const find = (context: TestContext, method: string): NamedCall =>
      everyCall(bench).find((each) => each.method === method) ?? bench.skip(context, 'its contract is not examined');
    for (const method of NEED_THEIR_RESOURCE) {
      it(`${method} of an unknown resource is NOT_FOUND`, async (context) => {
        const named = find(context, method);
        bench.needs(context, ...named.needs);
        const error = await bench.refused(named.make(bench.driver, bench.call()), 'NOT_FOUND');
        expect(error.retryable).toBe(false);
      });
    }
    for (const method of ENSURE_ABSENCE) {
      it(`${method} of an unknown resource is DONE`, async (context) => {
        const named = find(context, method);
        bench.needs(context, ...named.needs);
        await bench.finish(async (call) => named.make(bench.driver, call) as Promise<{ state: 'DONE'; value: unknown }>);
      });
    }
    it('looking for an unknown machine or disk finds nothing', async () => {
      const { driver } = bench;
      if (driver.capabilities.compute) expect(await driver.compute.getMachine(bench.call(), 'vm_unknown')).toBeUndefined();
      if (driver.capabilities.storage) expect(await driver.storage.getDisk(bench.call(), 'disk_unknown')).toBeUndefined();
    });
  });

  describe('time and giving up', () => {
    /** Makes the next call of one method hang. @returns that call */
    const hang = async (context: TestContext): Promise<NamedCall> => {
      const hangNext = bench.hook(context, 'hangNext');
      const named = (method: string): NamedCall | undefined => everyCall(bench).find((each) => each.method === method);
      const found = named('listHosts') ?? named('ensureNetwork');
      if (found === undefined) return bench.skip(context, 'neither hosts nor network are examined');
      await hangNext(found.method);
      return found;
    };
    it('a call without an answer ends with TIMEOUT when its time is over', async (context) => {
      const { make } = await hang(context);
      const timeoutMs = 150;
      const call = make(bench.driver, bench.call({ timeoutMs }));
      const error = await bench.refused(Promise.race([call, late(timeoutMs + GRACE_MS)]), 'TIMEOUT');
      expect(error.retryable).toBe(true);
    });
    it('a call without an answer ends with CANCELLED when its signal aborts', async (context) => {
      const { make } = await hang(context);
      const controller = new AbortController();
      const call = make(bench.driver, bench.call({ signal: controller.signal }));
      setTimeout(() => controller.abort(), 50);
      await bench.refused(Promise.race([call, late(GRACE_MS)]), 'CANCELLED');
    });
    it('no call is made whose signal has aborted already', async () => {
      const signal = AbortSignal.abort();
      for (const { method, needs, make } of everyCall(bench)) {
        if (!needs.every((capability) => bench.driver.capabilities[capability])) continue;
        const error = await bench.refused(make(bench.driver, bench.call({ signal })), 'CANCELLED');
        expect(error.code, method).toBe('CANCELLED');
      }
    });
    it('what was given up before it began has no effect', async (context) => {
      bench.needs(context, 'storage');
      const { storage } = bench.driver;
      const wanted = bench.diskSpecification();
      bench.willRemoveDisk(wanted.diskId);
      await bench.refused(storage.createDisk(bench.call({ signal: AbortSignal.abort() }), wanted), 'CANCELLED');
      await bench.disk();
      expect(await storage.getDisk(bench.call(), wanted.diskId)).toBeUndefined();
    });
  });

  it('every call is refused inside an open unit of work', async (context) => {
    await bench.hook(context, 'insideUnitOfWork')(async () => {
      for (const { method, make } of everyCall(bench)) {
        const error = await bench.refused(make(bench.driver, bench.call()), 'INTERNAL');
        expect(error.detail, method).toContain('unit of work');
      }
    });
  });

  describe('capabilities', () => {
    /** Work with a driver that has not that capability. */
    const without = async (context: TestContext, capability: keyof Capabilities, work: (driver: Driver) => Promise<void>): Promise<void> => {
      const lacking = !bench.driver.capabilities[capability];
      const driver = lacking ? bench.driver : await bench.hook(context, 'connectWithout')(capability);
      try {
        expect(driver.capabilities[capability]).toBe(false);
        await work(driver);
      } finally {
        if (!lacking) await driver.close();
      }
    };
    // Machines say nothing of the nodes that they become: no call needs that.
    for (const capability of CAPABILITIES.filter((each) => each !== 'kubernetesNodes')) {
      it(`without "${capability}" what needs it is UNSUPPORTED`, async (context) => {
        await without(context, capability, async (driver) => {
          for (const { method, needs, make } of everyCall(bench).filter((each) => each.needs.includes(capability))) {
            const error = await bench.refused(make(driver, bench.call()), 'UNSUPPORTED');
            expect(error.retryable, `${method} ${needs.join()}`).toBe(false);
          }
        });
      });
    }
    for (const capability of ['loadBalancer', 'router', 'firewall'] as const) {
      it(`without "${capability}" all parts of the network can still be removed`, async (context) => {
        bench.needs(context, 'network');
        await without(context, capability, async (driver) => {
          for (const { make } of everyCall(bench).filter(({ method }) => /^remove[A-Z]/.test(method))) {
            await bench.finish(async (call) => make(driver, call) as Promise<Outcome<void>>);
          }
        });
      });
    }
  });
}

async function late(milliseconds: number): Promise<never> {
  await sleep(milliseconds);
  throw new Error(`the call was still open after ${milliseconds} ms`);
}
