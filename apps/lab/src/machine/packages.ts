import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure.js';
import { run } from './command.js';

/** Debian's names. Those of backports are named with their suite: a whole suite of preference would pull libraries, too. */
const PACKAGES = ['ovn-central', 'ovn-host', 'openvswitch-switch', 'ethtool', 'iproute2', 'nftables', 'attr', 'rsync', 'squashfs-tools', 'busybox-static'];
const BACKPORTS = ['incus-base', 'incus-client'];
const INSTALL_TIMEOUT_MS = 600_000;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const POLICY = '/usr/sbin/policy-rc.d';
/** What Debian's maintainer scripts ask before they start a service: 101 is no. */
const NO_SERVICES = '#!/bin/sh\n# Of the Muon lab, while it installs packages.\nexit 101\n';

/**
 * Installs what a lab needs and is missing.
 * @param cache where lists of packages are kept
 * @param more names beside those that every lab needs
 */
export async function installPackages(cache: string, more: readonly string[] = []): Promise<void> {
  const missing = await missingPackages([...PACKAGES, ...BACKPORTS, ...more]);
  if (missing.length === 0) return;
  const { codename, uri } = await debianMirror();
  const apt = await aptOptions(cache, codename, uri);
  await run('apt-get', [...apt, 'update', '-qq'], { timeoutMs: INSTALL_TIMEOUT_MS });
  const names = missing.map((name) => (BACKPORTS.includes(name) ? `${name}/${codename}-backports` : name));
  await withoutServices(async () => {
    const environment = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    await run('apt-get', [...apt, 'install', '-qq', '-y', '--no-install-recommends', ...names], { timeoutMs: INSTALL_TIMEOUT_MS, environment });
  });
}

/** Where the machine gets its own release of Debian from. @throws Failure when it has no source of it */
export async function debianMirror(): Promise<{ codename: string; uri: string }> {
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? '';
  const sources = await run('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages']);
  const uri = sources.split('\n').find((line) => line.startsWith(`${codename} `))?.split(' ')[1];
  if (uri === undefined) throw new Failure(`The machine's sources of packages have no mirror of Debian ${codename}.`);
  return { codename, uri };
}

async function missingPackages(wanted: readonly string[]): Promise<string[]> {
  const answer = await run('dpkg-query', ['--show', '--showformat', '${db:Status-Status} ${Package}\\n']);
  const known = new Set(answer.split('\n'));
  return wanted.filter((name) => !known.has(`installed ${name}`));
}

/** Lists and sources of our own, so that the machine's keep their ways: its sources, and backports beside them. */
async function aptOptions(cache: string, codename: string, uri: string): Promise<string[]> {
  const sources = join(cache, 'apt', 'sources');
  const lists = join(cache, 'apt', 'lists');
  await rm(sources, { recursive: true, force: true });
  await mkdir(join(lists, 'partial'), { recursive: true });
  await cp('/etc/apt/sources.list.d', sources, { recursive: true });
  const backports = ['Types: deb', `URIs: ${uri}`, `Suites: ${codename}-backports`, 'Components: main', `Signed-By: ${KEYRING}`];
  await writeFile(join(sources, 'muon-backports.sources'), `${backports.join('\n')}\n`);
  return ['-o', `Dir::Etc::SourceParts=${sources}`, '-o', `Dir::State::Lists=${lists}`];
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
