import { access, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure.js';
import { run } from './command.js';

/** Debian's names. Those of backports are named with their suite: a whole suite of preference would pull libraries, too. */
const PACKAGES = ['ovn-central', 'ovn-host', 'openvswitch-switch', 'ethtool', 'iproute2', 'nftables', 'attr', 'rsync', 'squashfs-tools', 'busybox-static'];
const BACKPORTS = ['incus-base', 'incus-client'];
const INSTALL_TIMEOUT_MS = 600_000;
const POLICY = '/usr/sbin/policy-rc.d';
/** What Debian's maintainer scripts ask before they start a service: 101 is no. */
const NO_SERVICES = '#!/bin/sh\n# Of the Muon lab, while it installs packages.\nexit 101\n';

/** Installs what is missing. @returns the names of what it installed */
export async function installPackages(cache: string): Promise<string[]> {
  const missing = await missingPackages();
  if (missing.length === 0) return [];
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? '';
  const apt = await aptOptions(cache, codename);
  await run('apt-get', [...apt, 'update', '-qq'], { timeoutMs: INSTALL_TIMEOUT_MS });
  const names = missing.map((name) => (BACKPORTS.includes(name) ? `${name}/${codename}-backports` : name));
  await withoutServices(async () => {
    const environment = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    await run('apt-get', [...apt, 'install', '-qq', '-y', '--no-install-recommends', ...names], { timeoutMs: INSTALL_TIMEOUT_MS, environment });
  });
  return missing;
}

async function missingPackages(): Promise<string[]> {
  const all = [...PACKAGES, ...BACKPORTS];
  const answer = await run('dpkg-query', ['--show', '--showformat', '${db:Status-Status} ${Package}\n']);
  const installed = new Set(answer.split('\n').flatMap((line) => (line.startsWith('installed ') ? [line.slice('installed '.length)] : [])));
  return all.filter((name) => !installed.has(name));
}

/** Sources and lists of our own, so that the machine's keep their ways: its sources, and backports beside them. */
async function aptOptions(cache: string, codename: string): Promise<string[]> {
  const sources = join(cache, 'apt', 'sources');
  const lists = join(cache, 'apt', 'lists');
  await rm(sources, { recursive: true, force: true });
  await mkdir(sources, { recursive: true });
  await mkdir(join(lists, 'partial'), { recursive: true });
  const texts: string[] = [];
  const folder = '/etc/apt/sources.list.d';
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/\.(list|sources)$/.test(name)) continue;
    await copyFile(join(folder, name), join(sources, name));
    texts.push(await readFile(join(folder, name), 'utf8'));
  }
  const list = '/etc/apt/sources.list';
  if (await exists(list)) {
    await copyFile(list, join(sources, 'machine.list'));
    texts.push(await readFile(list, 'utf8'));
  }
  const mirror = mirrorOf(texts, codename);
  if (mirror === undefined) throw new Failure(`The machine's sources of packages have no mirror of Debian ${codename}, from which backports could come.`);
  await writeFile(join(sources, 'muon-backports.sources'), backportsOf(mirror, codename));
  return ['-o', 'Dir::Etc::SourceList=/dev/null', '-o', `Dir::Etc::SourceParts=${sources}`, '-o', `Dir::State::Lists=${lists}`];
}

export interface Mirror {
  uri: string;
  signedBy?: string;
}

/**
 * Where the machine gets its own release from.
 * @param texts of its sources, in either of apt's formats (sources.list(5))
 */
export function mirrorOf(texts: readonly string[], codename: string): Mirror | undefined {
  for (const text of texts) {
    for (const stanza of text.split(/\n\s*\n/)) {
      const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.+)$`, 'im').exec(stanza)?.[1]?.trim();
      const suites = field('Suites')?.split(/\s+/) ?? [];
      const uri = field('URIs')?.split(/\s+/)[0];
      const signedBy = field('Signed-By');
      if (suites.includes(codename) && uri !== undefined) return { uri, ...(signedBy === undefined ? {} : { signedBy }) };
    }
    const line = new RegExp(`^deb\\s+(?:\\[([^\\]]*)\\]\\s+)?(\\S+)\\s+${codename}\\s`, 'm').exec(`${text}\n`);
    if (line === null) continue;
    const signedBy = /signed-by=(\S+)/.exec(line[1] ?? '')?.[1];
    return { uri: line[2] ?? '', ...(signedBy === undefined ? {} : { signedBy }) };
  }
  return undefined;
}

function backportsOf({ uri, signedBy }: Mirror, codename: string): string {
  const signature = signedBy === undefined ? '' : `Signed-By: ${signedBy}\n`;
  return `Types: deb\nURIs: ${uri}\nSuites: ${codename}-backports\nComponents: main\n${signature}`;
}

/** A policy that is there already is the machine's own, and stays; one of ours is of a run that was killed. */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  const present = await readFile(POLICY, 'utf8').catch(() => undefined);
  const ours = present === undefined || present === NO_SERVICES;
  if (ours) await writeFile(POLICY, NO_SERVICES, { mode: 0o755 });
  try {
    await work();
  } finally {
    if (ours) await rm(POLICY, { force: true });
  }
}

const exists = async (path: string): Promise<boolean> => access(path).then(() => true, () => false);
