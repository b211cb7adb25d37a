import type { NetworkPartDetail, WorldObject } from '#driver-simulated';
import type { IncusClient, Instance, Volume } from '#incus';
import type { HostLayout } from '../../apps/lab/src/layout.js';
import { removeInstance } from './lab.js';
import { LabNetwork, type MarkedRow } from './lab-network.js';

/** Keys by which objects in Incus say what they are. */
export const InstanceKey = {
  INSTALLATION: 'user.muon.installation',
  TENANT: 'user.muon.tenant',
  PROJECT: 'user.muon.project',
  MACHINE: 'user.muon.machine',
  DISK: 'user.muon.disk',
} as const;

/** What Incus and OVN hold of one installation of Muon, read from themselves and not by drivers. */
export class LabInventory {
  readonly network: LabNetwork;

  /**
   * @param incus of any member
   * @param installation whose objects these are
   */
  constructor(
    private readonly incus: IncusClient,
    hosts: readonly HostLayout[],
    readonly installation: string,
  ) {
    this.network = new LabNetwork(hosts);
  }

  async objects(): Promise<WorldObject[]> {
    const [instances, volumes, rows] = await Promise.all([this.instances(), this.volumes(), this.rows()]);
    return [
      ...instances.flatMap(({ config }) => [...objectOf('MACHINE', config[InstanceKey.MACHINE], config), ...objectOf('DISK', config[InstanceKey.DISK], config)]),
      ...volumes.flatMap(({ volume: { config } }) => objectOf('DISK', config[InstanceKey.DISK], config)),
      ...rows.flatMap((row) => partOf(row)),
    ];
  }

  async instances(): Promise<Instance[]> {
    const all = await this.incus.instances.list();
    // Of one whose member is away Incus tells no settings.
    return all.filter(({ config }) => config?.[InstanceKey.INSTALLATION] === this.installation);
  }

  /** Every row of OVN that is a part of the network or belongs to one. */
  async rows(): Promise<MarkedRow[]> {
    return this.network.marked({ 'muon:installation': this.installation });
  }

  /**
   * Everything as it is called in Incus and OVN, machines and what belongs to parts of the network alike. Without the row by
   * which a firewall without rules knows the revision that said so: nothing older may come after it.
   */
  async remains(): Promise<string[]> {
    const [objects, rows] = await Promise.all([this.objects(), this.rows()]);
    const present = objects.filter(({ kind }) => kind !== 'FIREWALL');
    const belonging = rows.filter(({ marks }) => marks.get('muon:kind') !== 'FIREWALL');
    return [...present.map(({ kind, id }) => `${kind} ${id}`), ...belonging.map(({ table, marks }) => `row of ${table} for ${marks.get('muon:id')}`)];
  }

  /** Takes away what a test that failed has left, so that it is in nobody's way. */
  async purge(): Promise<void> {
    for (const { name } of await this.instances()) await removeInstance(this.incus, name);
    for (const { pool, volume } of await this.volumes()) await this.incus.storagePools.deleteVolume(pool, volume.name, volume.location === '' ? {} : { target: volume.location });
    await this.network.remove({ 'muon:installation': this.installation });
  }

  async close(): Promise<void> {
    await this.network.close();
  }

  private async volumes(): Promise<{ pool: string; volume: Volume }[]> {
    const { storagePools } = this.incus;
    const pools = await storagePools.list();
    const found = await Promise.all(pools.map(async ({ name: pool }) => (await storagePools.volumes(pool)).map((volume) => ({ pool, volume }))));
    return found.flat().filter(({ volume: { config } }) => config[InstanceKey.INSTALLATION] === this.installation);
  }
}

function objectOf(kind: WorldObject['kind'], id: string | undefined, config: Record<string, string>): WorldObject[] {
  if (id === undefined) return [];
  const [installationId = '', tenantId = '', projectId = ''] = [config[InstanceKey.INSTALLATION], config[InstanceKey.TENANT], config[InstanceKey.PROJECT]];
  return [{ kind, id, installationId, tenantId, projectId }];
}

type PartKind = NetworkPartDetail['kind'];

/** Tables with the main rows of each kind of part: others of its rows may say the same kind. */
const PART_TABLES: Readonly<Record<PartKind, readonly string[]>> = {
  NETWORK: ['Logical_Router'],
  PORT: ['Logical_Switch_Port'],
  LOAD_BALANCER: ['Load_Balancer'],
  EXTERNAL_NETWORK: ['Logical_Switch'],
  PROVIDER_ROUTER: ['Logical_Router'],
  ROUTER: ['Logical_Router'],
  FLOATING_IP: ['NAT', 'Load_Balancer'],
  SECURITY_GROUP: ['Port_Group'],
  FIREWALL: ['Port_Group'],
};

/** None for rows that only belong to a part. */
export function partOf({ table, marks }: MarkedRow): (WorldObject & { kind: PartKind })[] {
  const kind = (Object.keys(PART_TABLES) as PartKind[]).find((each) => each === marks.get('muon:kind'));
  if (kind === undefined || !PART_TABLES[kind].includes(table)) return [];
  const mark = (name: string): string => marks.get(`muon:${name}`) ?? '';
  return [{ kind, id: mark('id'), installationId: mark('installation'), tenantId: mark('tenant'), projectId: mark('project') }];
}
