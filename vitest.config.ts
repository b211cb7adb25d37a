import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { filesWithoutLab } from './test/acceptance/lab-exclusions.js';

/** Types and tests read the sources; only what runs for real reads `dist`. */
const conditions = ['source', 'node'];

interface Project {
  name: string;
  include: string[];
  testTimeout: number;
  fileParallelism?: boolean;
  maxWorkers?: number;
  isolate?: boolean;
  sequence?: { groupOrder: number };
  exclude?: string[];
  setupFiles?: string[];
  env?: Record<string, string>;
}

function project({ testTimeout, fileParallelism = true, ...more }: Project) {
  const hookTimeout = Math.max(testTimeout, 60_000);
  return { extends: true as const, test: { testTimeout, hookTimeout, fileParallelism, ...more } };
}

/** Specs that turn hosts of the lab off, cut them off or give them more pools: nothing else may need those meanwhile. */
const alone = ['datastores', 'driver-incus', 'driver-joined', 'host-failures', 'hosts', 'incus-machines', 'provider-router', 'swarm', 'swarm-five', 'swarm-votes'].map(
  (name) => `test/lab/${name}.spec.ts`,
);

export default defineConfig({
  // One copy of graphql for our modules and for those that Node loads itself: its values know only their own realm.
  resolve: {
    conditions,
    alias: [{ find: /^graphql$/, replacement: fileURLToPath(new URL('./node_modules/graphql/index.js', import.meta.url)) }],
  },
  ssr: { resolve: { conditions } },
  // The global set-up is loaded in an environment of its own.
  environments: { __vitest__: { resolve: { conditions } } },
  // Set here and not only in tsconfig.json, so that a file outside of it is compiled the same way.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    // The cache on disk does not notice a changed tsconfig.json.
    fsModuleCache: false,
    // A second, as is usual, is not enough on a busy machine; what comes sooner is seen sooner all the same.
    expect: { poll: { timeout: 10_000 } },
    globalSetup: ['libs/testing/src/postgres/server.ts'],
    // `--tags-filter='!lengthy'` leaves them out.
    tags: [{ name: 'lengthy', description: 'Takes a minute and more on a lab; for those who have it.' }],
    projects: [
      project({
        name: 'room',
        include: ['libs/**/*.spec.ts', 'apps/**/*.spec.ts', 'scripts/**/*.spec.ts'],
        testTimeout: 20_000,
        // Two hundred files: to load the rooms anew for each takes longer than most need. As in an app, they are loaded once.
        isolate: false,
        // One waits while two work. Another number than the others', hence a turn of its own.
        maxWorkers: 3,
        sequence: { groupOrder: 1 },
      }),
      project({ name: 'acceptance', include: ['test/acceptance/**/*.spec.ts'], testTimeout: 60_000 }),
      project({ name: 'faults', include: ['test/faults/**/*.spec.ts'], testTimeout: 120_000 }),
      project({ name: 'front-door', include: ['test/front-door/**/*.spec.ts'], testTimeout: 300_000 }),
      // Need a lab that is up, and share it.
      project({ name: 'lab', include: ['test/lab/**/*.spec.ts'], exclude: alone, testTimeout: 180_000 }),
      // After those, one by one.
      project({ name: 'lab-alone', include: alone, testTimeout: 180_000, fileParallelism: false }),
      // The same tests on the lab's hosts and network instead of simulated ones, but for what is left out with a reason.
      project({
        name: 'lab-acceptance',
        include: ['test/acceptance/**/*.spec.ts'],
        exclude: filesWithoutLab.map((file) => `test/acceptance/${file}`),
        setupFiles: ['test/support/skip-without-lab.ts'],
        env: { MUON_TEST_BACKEND: 'lab' },
        testTimeout: 240_000,
        fileParallelism: false,
      }),
    ],
  },
});
