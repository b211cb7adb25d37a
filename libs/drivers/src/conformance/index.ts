import { afterAll, beforeAll, describe } from 'vitest';
import { Bench } from './bench.js';
import { callConformance } from './calls.js';
import { computeConformance } from './compute.js';
import { hostConformance } from './hosts.js';
import { listingConformance } from './listings.js';
import { networkConformance } from './network.js';
import { storageConformance } from './storage.js';
import type { ConformanceSubject } from './subject.js';

export type { ConformanceHooks, ConformanceSubject } from './subject.js';

/**
 * The examination that every driver must pass, for a `*.spec.ts` of its room. What a backend cannot do, or its set-up
 * cannot do to it, is skipped with the reason, and listed at the end.
 * @param setup brings a backend that nothing else uses meanwhile
 * @param options `timeoutMs` of one test: machines of a real backend take their time
 */
export function driverConformance(
  name: string,
  setup: () => Promise<ConformanceSubject>,
  options: { timeoutMs?: number } = {},
): void {
  const bench = new Bench();
  describe(`conformance: ${name}`, { timeout: options.timeoutMs ?? 20_000 }, () => {
    beforeAll(async () => {
      bench.subject = await setup();
    }, options.timeoutMs ?? 60_000);
    afterAll(async () => {
      if (bench.skipped.length > 0) {
        process.stdout.write(`conformance of ${name}, not examined:\n${bench.skipped.map((each) => `  ${each}\n`).join('')}`);
      }
      await bench.subject.teardown();
    });
    describe('calls', () => callConformance(bench));
    describe('compute', () => computeConformance(bench));
    describe('storage', () => storageConformance(bench));
    describe('network', () => networkConformance(bench));
    describe('hosts', () => hostConformance(bench));
    describe('listings and hints', () => listingConformance(bench));
  });
}
