import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '#core';
import { configurationFrom } from './configuration.js';
import { fenceByCommand } from './fence.js';

const log = createLogger('fence', 'silent');

describe('a fence by a command', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fence-'));
  });
  afterEach(async () => rm(folder, { recursive: true, force: true }));

  /** A program that keeps its arguments and goes on as the text says. */
  async function program(text: string): Promise<string> {
    const file = join(folder, 'program');
    await writeFile(file, `#!/bin/sh\nprintf '%s\\n' "$@" >${folder}/arguments\n${text}\n`, { mode: 0o755 });
    return file;
  }

  it('proves that a host is off when the program ends with 0, which was given its words and the name', async () => {
    const fence = fenceByCommand([await program('exit 0'), 'host', 'kill'], log);
    expect(await fence('h 2; rm -rf /', new AbortController().signal)).toBe('PROVEN_OFF');
    expect(await readFile(join(folder, 'arguments'), 'utf8')).toBe('host\nkill\nh 2; rm -rf /\n');
  });

  it('tells the program nothing of what Muon alone must know', async () => {
    process.env['MUON_SECRET_KEYS'] = 'canary';
    try {
      const fence = fenceByCommand([await program(`env >${folder}/environment`)], log);
      expect(await fence('h2', new AbortController().signal)).toBe('PROVEN_OFF');
    } finally {
      delete process.env['MUON_SECRET_KEYS'];
    }
    const environment = await readFile(join(folder, 'environment'), 'utf8');
    expect(environment).toMatch(/^PATH=/m);
    expect(environment).not.toMatch(/canary|MUON_/);
  });

  it.each([
    ['ends with another code', 'exit 1'],
    ['is ended by a signal', 'kill -TERM $$'],
    ['says more than anybody reads', 'yes'],
  ])('proves nothing when the program %s', async (_what, text) => {
    const fence = fenceByCommand([await program(text)], log);
    expect(await fence('h2', new AbortController().signal)).toBe('UNKNOWN');
  });

  it('proves nothing when there is no such program, or when it does not end in time', async () => {
    expect(await fenceByCommand([join(folder, 'missing')], log)('h2', new AbortController().signal)).toBe('UNKNOWN');
    const fence = fenceByCommand([await program('exec sleep 60')], log);
    expect(await fence('h2', AbortSignal.timeout(200))).toBe('UNKNOWN');
  });
});

it('the fence is words, and nothing but blanks is refused', () => {
  const needed = { MUON_DATABASE_URL: 'postgres://localhost/muon', MUON_SECRET_KEYS: 'k:x' };
  expect(configurationFrom({ ...needed, MUON_FENCE_COMMAND: ' /opt/fence  --now ' }).MUON_FENCE_COMMAND).toEqual(['/opt/fence', '--now']);
  expect(configurationFrom({ ...needed, MUON_FENCE_COMMAND: '["/opt/my fence", "--now"]' }).MUON_FENCE_COMMAND).toEqual(['/opt/my fence', '--now']);
  expect(configurationFrom(needed).MUON_FENCE_COMMAND).toBeUndefined();
  for (const nothing of ['  ', '[]', '["a"', '[1]', '[""]']) {
    expect(() => configurationFrom({ ...needed, MUON_FENCE_COMMAND: nothing })).toThrow(/MUON_FENCE_COMMAND: must be a program and its words/);
  }
});
