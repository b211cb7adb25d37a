import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { freePort, SystemProcess } from './system.js';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const SECRETS = '/run/secrets/';
const START_DEADLINE_MS = 90_000;

export interface ComposedService {
  image?: string;
  command: string[];
  /** Null: taken over from the environment that composes. */
  environment?: Record<string, string | null>;
  secrets?: string[];
  profiles?: string[];
  depends_on?: Record<string, { condition: string; required?: boolean }>;
  deploy?: { replicas?: number };
  healthcheck?: { test: string[] };
  ports?: string[];
  stop_grace_period?: string;
  read_only?: boolean;
}

export interface Composition {
  services: Record<string, ComposedService>;
  secrets: Record<string, { file: string }>;
}

export function readComposition(): Composition {
  return parse(readFileSync(join(PROJECT, 'docker-compose.yml'), 'utf8'), { merge: true }) as Composition;
}

/**
 * Runs a service of the composition as plain processes: its command with its environment. What a container would have of
 * its own is put in its place: the ports, the address to listen on, the folder of the secrets.
 */
export class PlainService {
  constructor(
    readonly name: string,
    private readonly service: ComposedService,
    private readonly options: { secrets: string; programs: string },
  ) {}

  /** Runs it until it ends. */
  async complete(): Promise<{ code: number | null; log: string }> {
    const ended = this.spawn('', await freePort());
    const [code] = (await once(ended.child, 'exit')) as [number | null];
    return { code, log: ended.log.join('') };
  }

  /** As many as it has replicas, each healthy by its own check. */
  async start(): Promise<SystemProcess[]> {
    return Promise.all(Array.from({ length: this.service.deploy?.replicas ?? 1 }, (_none, index) => this.startOne(index + 1)));
  }

  get graceMs(): number {
    return Number.parseInt(this.service.stop_grace_period ?? '10s', 10) * 1000;
  }

  private async startOne(number: number): Promise<SystemProcess> {
    const port = await freePort();
    const started = this.spawn(` ${number}`, port);
    await started.ready(START_DEADLINE_MS);
    const code = await this.checkHealth(port);
    if (code !== 0) throw new Error(`${started.name} is ready, but its health check ends with ${code}`);
    return started;
  }

  /** The check of the composition, with the port that stands in for the container's. */
  private async checkHealth(port: number): Promise<number | null> {
    const [kind, program, ...rest] = this.service.healthcheck?.test ?? [];
    if (kind !== 'CMD' || program !== 'node') throw new Error(`${this.name} has a health check of another kind`);
    const command = rest.map((word) => word.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`));
    const [code] = (await once(spawn(process.execPath, command, { stdio: 'ignore' }), 'exit')) as [number | null];
    return code;
  }

  private spawn(suffix: string, port: number): SystemProcess {
    const [program, ...rest] = this.service.command;
    if (program !== 'node') throw new Error(`${this.name} runs ${program}, which is no program of ours`);
    const child = spawn(process.execPath, rest, {
      cwd: this.options.programs,
      env: { PATH: process.env['PATH'] ?? '', ...this.environment(port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new SystemProcess(`${this.name}${suffix}`, `http://127.0.0.1:${port}`, child);
  }

  private environment(port: number): Record<string, string> {
    const instead: Record<string, string> = { MUON_HTTP_HOST: '127.0.0.1', MUON_HTTP_PORT: String(port), MUON_WORKER_PORT: String(port) };
    const environment: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.service.environment ?? {})) {
      const given = instead[name] ?? value ?? process.env[name];
      if (given !== undefined) environment[name] = given.startsWith(SECRETS) ? this.secret(given) : given;
    }
    return environment;
  }

  private secret(path: string): string {
    const name = basename(path);
    if (!this.service.secrets?.includes(name)) throw new Error(`${this.name} reads ${path}, which it is not given`);
    return join(this.options.secrets, name);
  }
}
