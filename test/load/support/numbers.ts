/** Of any number of values, in any order. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** @param share 0.95 for the value that 95 of 100 do not exceed */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
}

/**
 * Runs every contender once a round, so that whatever else the machine does meets all of them alike.
 * @returns for each contender what its rounds gave, in the order of the rounds
 */
export async function interleaved<Result>(rounds: number, contenders: readonly (() => Promise<Result>)[]): Promise<Result[][]> {
  const results: Result[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, contender] of contenders.entries()) results[index]?.push(await contender());
  }
  return results;
}

/** Runs `total` pieces of work, `concurrency` at once; how long each took in ms, in the order of their end. */
export async function inParallel(total: number, concurrency: number, work: (number: number, lane: number) => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const lane = async (index: number): Promise<void> => {
    while (next < total) {
      const number = next;
      next += 1;
      const start = performance.now();
      await work(number, index);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, total) }, (_, index) => lane(index)));
  return times;
}
