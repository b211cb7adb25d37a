/** A file of this folder, or one of its tests, that is not run on the lab. */
export interface LabExclusion {
  file: string;
  /** All of the file without it. */
  test?: string;
  because: string;
}

const NO_HOSTS = 'has no backend: it would run the same as without the lab';
const KUBERNETES = 'a Kubernetes cluster is UNSUPPORTED on Incus';

/** What passes on simulated hosts and is left out by `npm run lab-acceptance`. */
export const labExclusions: readonly LabExclusion[] = [
  { file: 'deployment.spec.ts', because: NO_HOSTS },
  { file: 'development-issuer.spec.ts', because: NO_HOSTS },
  { file: 'lab-exclusions.spec.ts', because: NO_HOSTS },
  { file: 'lab-register.spec.ts', because: 'takes the bridges to the outside away from all hosts, and the lab is everybody’s' },
  { file: 'limits.spec.ts', because: NO_HOSTS },
  { file: 'operating.spec.ts', because: NO_HOSTS },
  { file: 'processes.spec.ts', because: NO_HOSTS },
  { file: 'sign-in.spec.ts', because: NO_HOSTS },
  { file: 'access-matrix.spec.ts', because: `its page shows everybody at a Kubernetes cluster that is ready; ${KUBERNETES}` },
  { file: 'story.spec.ts', because: 'tells the story of the demo, which simulates its hosts and kills one of them under a Kubernetes cluster' },
  {
    file: 'bad-input.spec.ts',
    test: 'is told by a mutation as the caller’s, with the field, and nothing is written',
    because: 'some of its thousands of changes are right, and attest that hosts are off which run: what is on them would be left there',
  },
  { file: 'cli.spec.ts', test: 'shows what a cluster would be, and why it would not', because: KUBERNETES },
  { file: 'cli.spec.ts', test: 'makes a cluster and shows its steps while it waits', because: KUBERNETES },
  { file: 'cli.spec.ts', test: 'prints a kubeconfig, or writes it where nobody else can read it', because: KUBERNETES },
  {
    file: 'cli.spec.ts',
    test: 'writes what docker needs for a Swarm cluster into a folder that nobody else can read, and a shell can use',
    because: 'needs the image with Docker and its minutes; test/lab/swarm.spec.ts makes a Swarm cluster and speaks to it with the docker client',
  },
  { file: 'cli.spec.ts', test: 'ends with 5 when the time to wait is over, and 0 when somebody goes on waiting', because: `${KUBERNETES}, and no call of a real backend can be told to take long` },
  { file: 'cli.spec.ts', test: 'ends with 4 and the reason when the operation does not succeed', because: `${KUBERNETES}, and no real backend can be told to be busy` },
  { file: 'cli.spec.ts', test: 'deletes a cluster, and nothing is left', because: KUBERNETES },
];

/** Files of which nothing is run on the lab. */
export const filesWithoutLab: readonly string[] = labExclusions.filter(({ test }) => test === undefined).map(({ file }) => file);
