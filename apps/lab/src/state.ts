import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { Failure } from './failure.js';
import { MAX_HOSTS } from './layout.js';

const schema = z.object({
  version: z.literal(1),
  hosts: z.int().min(1).max(MAX_HOSTS),
  /** How the machine was, to be so again after `down`; absent while the lab is down and its disks are kept. */
  before: z.object({ kernelSettings: z.record(z.string(), z.number()), containerGroups: z.array(z.string()) }).optional(),
});

export type LabState = z.output<typeof schema>;

const DEFAULT_FOLDER = '.muon/lab';

/** The folder of a lab: `lab.json`, a folder for each machine, and what is worth keeping between labs. */
export class StateFolder {
  readonly path: string;
  private readonly file: string;

  /** @param folder as somebody named it, who calls npm from anywhere; below the project's own if not given */
  constructor(folder?: string) {
    this.path = folder === undefined ? resolve(DEFAULT_FOLDER) : resolve(process.env['INIT_CWD'] ?? '.', folder);
    this.file = join(this.path, 'lab.json');
  }

  /** Images and lists of packages: costly to make, good for any lab. */
  get cache(): string {
    return join(this.path, 'cache');
  }

  /** Certificate and key of Muon, whom the lab's cluster trusts. */
  get clientCertificate(): string {
    return join(this.path, 'muon-client.json');
  }

  /** What the Muon of the demo keeps. */
  get muon(): string {
    return join(this.path, 'muon');
  }

  get machines(): string {
    return join(this.path, 'machines');
  }

  /** Undefined where there is no lab. @throws Failure when the file is not ours */
  async read(): Promise<LabState | undefined> {
    const text = await readFile(this.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    try {
      return schema.parse(JSON.parse(text));
    } catch (error) {
      throw new Failure(`${this.file} is not what "lab up" writes: ${(error as Error).message}`);
    }
  }

  async write(state: LabState): Promise<void> {
    await mkdir(this.path, { recursive: true });
    const draft = `${this.file}.draft`;
    await writeFile(draft, `${JSON.stringify(state, null, 2)}\n`);
    await rename(draft, this.file);
  }

  async forget(): Promise<void> {
    await rm(this.file, { force: true });
  }
}
