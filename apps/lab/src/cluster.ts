import { X509Certificate } from 'node:crypto';
import { isConflict, isNotFound, type IncusClient } from '#incus';
import { Failure } from './failure.js';
import { CHECKSUM_HOOK, incusOf } from './host/host.js';
import type { Machine } from './host/namespace.js';
import { INCUS_PORT, POOL, PROFILE, type HostLayout } from './layout.js';
import { until } from './machine/until.js';

const JOIN_TIMEOUT_MS = 60_000;
const MEMBERS_TIMEOUT_MS = 60_000;
const DESCRIPTION_TIMEOUT_MS = 20_000;

export interface ClusterHost {
  layout: HostLayout;
  machine: Machine;
}

const addressOf = ({ managementAddress }: HostLayout): string => `${managementAddress}:${INCUS_PORT}`;

/** Founds the cluster on the first host and lets the others join, one after another; skips what is so already. */
export async function formCluster(hosts: readonly ClusterHost[]): Promise<void> {
  const [first, ...others] = hosts as [ClusterHost, ...ClusterHost[]];
  const founder = incusOf(first.machine);
  try {
    await found(founder, first.layout);
    for (const other of others) await join(founder, first.layout, other);
    await until('Every member of the cluster online', MEMBERS_TIMEOUT_MS, async () => {
      const members = await founder.cluster.list();
      return members.length >= hosts.length && members.every(({ status }) => status === 'Online') ? true : undefined;
    });
    for (const { layout } of hosts) await describe(founder, layout);
    await provision(founder, hosts);
  } finally {
    founder.close();
  }
}

async function found(incus: IncusClient, host: HostLayout): Promise<void> {
  if ((await incus.cluster.cluster()).enabled) return;
  // No image is to be looked for outside of the lab.
  await incus.server.patchConfig({ 'core.https_address': addressOf(host), 'images.auto_update_interval': '0' });
  await (await incus.cluster.join({ server_name: host.name, enabled: true }, { timeoutMs: JOIN_TIMEOUT_MS })).wait();
}

async function join(founder: IncusClient, first: HostLayout, { layout, machine }: ClusterHost): Promise<void> {
  const incus = incusOf(machine, JOIN_TIMEOUT_MS);
  try {
    if ((await incus.cluster.cluster()).enabled) return;
    const certificate = (await founder.server.get()).value.environment?.certificate ?? '';
    const { token, fingerprint } = await founder.cluster.createToken(layout.name);
    if (new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase() !== fingerprint) {
      throw new Failure(`The certificate of ${first.name} is not the one that its token for ${layout.name} names.`);
    }
    const started = await incus.cluster.join({
      server_name: layout.name,
      enabled: true,
      server_address: addressOf(layout),
      cluster_address: addressOf(first),
      cluster_certificate: certificate,
      cluster_token: token,
      member_config: [],
    });
    await started.wait();
  } finally {
    incus.close();
  }
}

/** Zone and rack, for those who read the cluster. It may be giving out roles meanwhile: then what was read is old. */
async function describe(incus: IncusClient, { name, zone, rack }: HostLayout): Promise<void> {
  await until(`Zone and rack with ${name}`, DESCRIPTION_TIMEOUT_MS, async () => {
    const { value, etag } = await incus.cluster.get(name);
    if (value.config['user.zone'] === zone && value.config['user.rack'] === rack) return true;
    const { description, groups, roles, config } = value;
    const settings = { description, groups, roles, failure_domain: rack, config: { ...config, 'user.zone': zone, 'user.rack': rack } };
    await incus.cluster.replace(name, settings, { etag });
    return true;
  });
}

/** A pool on each host, and the profile that instances of the lab need beside what they are given. */
async function provision(incus: IncusClient, hosts: readonly ClusterHost[]): Promise<void> {
  const pool = await incus.storagePools.get(POOL).catch(ifNotFound);
  if (pool?.value.status === 'Errored') await incus.storagePools.delete(POOL);
  if (pool?.value.status !== 'Created') {
    const located = new Set(pool?.value.status === 'Errored' ? [] : pool?.value.locations);
    for (const { layout } of hosts) {
      if (!located.has(layout.name)) await incus.storagePools.create({ name: POOL, driver: 'dir' }, { target: layout.name }).catch(ifConflict);
    }
    await incus.storagePools.create({ name: POOL, driver: 'dir' });
  }
  const config = { 'raw.lxc': `lxc.hook.start-host = ${CHECKSUM_HOOK}`, 'boot.autostart': 'false' };
  const devices = { root: { type: 'disk', path: '/', pool: POOL } };
  await incus.profiles.create({ name: PROFILE, description: 'For instances of the lab', config, devices }).catch(ifConflict);
}

function ifNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}

function ifConflict(error: unknown): void {
  if (!isConflict(error)) throw error;
}
