import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from './composition.js';

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

const DEADLINE_MS = 120_000;

/** The built `muon` command as a child process, with settings of its own. */
export class MuonCommand {
  readonly home = mkdtempSync(join(tmpdir(), 'muon-cli-'));

  constructor(private readonly environment: Record<string, string> = {}) {}

  /** As another, with other variables and the same settings. */
  with(environment: Record<string, string>): MuonCommand {
    return Object.assign(Object.create(MuonCommand.prototype) as MuonCommand, { home: this.home, environment });
  }

  /** @param hear is given what was said on standard error so far, until it has heard enough */
  async run(commandArguments: readonly string[], input = '', hear?: (stderr: string) => Promise<boolean>): Promise<Ended> {
    const child = spawn(process.execPath, [join(PROJECT, 'dist/apps/cli/src/main.js'), ...commandArguments], {
      env: { PATH: process.env['PATH'] ?? '', XDG_CONFIG_HOME: this.home, ...this.environment },
      timeout: DEADLINE_MS,
    });
    const ended: Ended = { code: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text));
    let heard: Promise<boolean> = Promise.resolve(hear === undefined);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      ended.stderr += text;
      const { stderr } = ended;
      heard = heard.then(async (isEnough) => isEnough || (await hear?.(stderr)) === true);
    });
    child.stdin.end(input);
    ended.code = await new Promise((resolve) => child.once('close', resolve));
    await heard;
    return ended;
  }

  /** The JSON that a command prints, which must end well. */
  async json<Result>(...commandArguments: string[]): Promise<Result> {
    const { code, stdout, stderr } = await this.run([...commandArguments, '--output', 'json']);
    if (code !== 0) throw new Error(`muon ${commandArguments.join(' ')} ended with ${code}:\n${stderr}`);
    return JSON.parse(stdout) as Result;
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
