import { afterAll, beforeAll, describe, expect } from 'vitest';
import { Bench } from './bench.js';
import { callConformance } from './calls.js';
import { computeConformance } from './compute.js';
import { diskLimitConformance } from './disk-limits.js';
import { firewallConformance } from './firewall.js';
import { hostConformance } from './hosts.js';
import { intactConformance } from './intact.js';
import { joinedConformance } from './joined.js';
import { listingConformance } from './listings.js';
import { edgeConformance } from './edge.js';
import { networkConformance } from './network.js';
import { providerRouterConformance } from './provider-routers.js';
import { storageConformance } from './storage.js';
import { CONTRACTS, type ConformanceSubject, type Contract } from './subject.js';

export type { ConformanceHooks, ConformanceSubject, Contract } from './subject.js';

const EXAMINATIONS: Record<Contract, (bench: Bench) => void> = {
  compute: computeConformance,
  storage: (bench) => {
    storageConformance(bench);
    describe('limits', () => diskLimitConformance(bench));
  },
  network: (bench) => {
    networkConformance(bench);
    describe('edge', () => edgeConformance(bench));
    describe('provider routers', () => providerRouterConformance(bench));
    describe('firewall', () => firewallConformance(bench));
    describe('behind its back', () => intactConformance(bench));
  },
  hosts: hostConformance,
};

/**
 * The examination that every driver must pass, for a `*.spec.ts` of its room. What a backend cannot do, or its set-up
 * cannot do to it, is skipped with the reason, and listed at the end.
 * @param setup brings a backend that nothing else uses meanwhile
 * @param options `timeoutMs` of one test: machines of a real backend take their time; `contracts` when the driver is only a
 * part of a backend's, which is then examined in these alone; `lacks` has the reasons for which tests may be skipped: any
 * other fails the examination, so that nothing drops out unseen; `tags` of all its tests
 */
export function driverConformance(
  name: string,
  setup: () => Promise<ConformanceSubject>,
  options: { timeoutMs?: number; contracts?: readonly Contract[]; lacks?: readonly string[]; tags?: string[] } = {},
): void {
  const contracts = options.contracts ?? CONTRACTS;
  const bench = new Bench(contracts);
  describe(`conformance: ${name}`, { timeout: options.timeoutMs ?? 20_000, ...(options.tags === undefined ? {} : { tags: options.tags }) }, () => {
    beforeAll(async () => {
      bench.subject = await setup();
    }, options.timeoutMs ?? 60_000);
    afterAll(async () => {
      const { lines, reasons } = bench.skips;
      if (lines.length > 0) {
        process.stdout.write(`conformance of ${name}, not examined:\n${lines.map((each) => `  ${each}\n`).join('')}`);
      }
      await bench.subject.teardown();
      const unexpected = reasons.filter((reason) => options.lacks?.includes(reason) !== true);
      expect(unexpected, 'reasons for which tests were skipped').toEqual([]);
    });
    describe('calls', () => callConformance(bench));
    describe.each(contracts)('%s', (contract) => EXAMINATIONS[contract](bench));
    describe('listings and hints', () => listingConformance(bench));
    describe('machines and networks', () => joinedConformance(bench));
  });
}
