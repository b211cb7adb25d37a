import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../machine/command.js';

/** What `createDockerBundle` hands out. */
export interface Bundle {
  host: string;
  files: readonly { name: string; content: string }[];
}

const TIMEOUT_MS = 60_000;

/** The stock `docker` client with the bundle in a folder of its own, as its user would have it. */
export class DockerClient implements AsyncDisposable {
  private constructor(
    private readonly folder: string,
    readonly host: string,
  ) {}

  static async of({ host, files }: Bundle): Promise<DockerClient> {
    const folder = await mkdtemp(join(tmpdir(), 'docker-bundle-'));
    await mkdir(join(folder, 'certificates'), { mode: 0o700 });
    for (const { name, content } of files) await writeFile(join(folder, 'certificates', name), content, { mode: 0o600 });
    return new DockerClient(folder, host);
  }

  /** @throws CommandFailure with what the client said */
  async docker(...words: string[]): Promise<string> {
    const environment = {
      DOCKER_HOST: this.host,
      DOCKER_TLS_VERIFY: '1',
      DOCKER_CERT_PATH: join(this.folder, 'certificates'),
      DOCKER_CONFIG: this.folder,
    };
    return run('docker', words, { environment, timeoutMs: TIMEOUT_MS });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
