import type { CallOptions, ChangeOptions, Session, Tagged, TargetOptions } from '../connection/session.js';
import type { RunningOperation } from '../operation/running-operation.js';
import type { NewStoragePool, NewVolume, StoragePool, StoragePoolState, Volume, VolumeSettings, VolumeSnapshot, VolumeState } from './storage.js';

/**
 * Pools and their custom volumes (`/1.0/storage-pools`). On pools that are local to members each volume is on one of
 * them, and two may have volumes of the same name: say which with `target`.
 */
export class StoragePools {
  constructor(private readonly session: Session) {}

  async list(options: CallOptions = {}): Promise<StoragePool[]> {
    return this.session.get<StoragePool[]>(['storage-pools'], { ...options, query: { recursion: 1 } });
  }

  async get(pool: string, { target, ...options }: TargetOptions = {}): Promise<Tagged<StoragePool>> {
    return this.session.getTagged<StoragePool>(['storage-pools', pool], { ...options, query: { target } });
  }

  async state(pool: string, { target, ...options }: TargetOptions = {}): Promise<StoragePoolState> {
    return this.session.get<StoragePoolState>(['storage-pools', pool, 'resources'], { ...options, query: { target } });
  }

  /**
   * In a cluster once for each member, with what is particular to it (`target`, `size`, `source`), and then once without.
   * @throws CONFLICT
   */
  async create(pool: NewStoragePool, { target, ...options }: TargetOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'POST', path: ['storage-pools'], query: { target }, json: pool });
  }

  async delete(pool: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['storage-pools', pool] });
  }

  /** Custom volumes, of all members if no `target` is given. */
  async volumes(pool: string, { target, ...options }: TargetOptions = {}): Promise<Volume[]> {
    return this.session.get<Volume[]>(volumePath(pool), { ...options, query: { recursion: 1, target } });
  }

  async volume(pool: string, name: string, { target, ...options }: TargetOptions = {}): Promise<Tagged<Volume>> {
    return this.session.getTagged<Volume>(volumePath(pool, name), { ...options, query: { target } });
  }

  async volumeState(pool: string, name: string, { target, ...options }: TargetOptions = {}): Promise<VolumeState> {
    return this.session.get<VolumeState>(volumePath(pool, name, 'state'), { ...options, query: { target } });
  }

  /** @throws CONFLICT when the member has one of that name */
  async createVolume(pool: string, volume: NewVolume, { target, ...options }: TargetOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: volumePath(pool), query: { target }, json: volume });
  }

  /** Grows it, for one: `{config: {size: '20GiB'}}`. */
  async patchVolume(pool: string, name: string, settings: VolumeSettings, options: TargetOptions & ChangeOptions = {}): Promise<RunningOperation> {
    const { target, etag, ...call } = options;
    const headers: Record<string, string> = etag === undefined ? {} : { 'if-match': etag };
    return this.session.change({ ...call, method: 'PATCH', path: volumePath(pool, name), query: { target }, headers, json: settings });
  }

  /** @throws NOT_FOUND; REFUSED while an instance uses it */
  async deleteVolume(pool: string, name: string, { target, ...options }: TargetOptions = {}): Promise<void> {
    await (await this.session.change({ ...options, method: 'DELETE', path: volumePath(pool, name), query: { target } })).wait(options);
  }

  async snapshots(pool: string, volume: string, { target, ...options }: TargetOptions = {}): Promise<VolumeSnapshot[]> {
    return this.session.get<VolumeSnapshot[]>(volumePath(pool, volume, 'snapshots'), { ...options, query: { recursion: 1, target } });
  }

  async createSnapshot(pool: string, volume: string, name: string, { target, ...options }: TargetOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: volumePath(pool, volume, 'snapshots'), query: { target }, json: { name } });
  }

  async deleteSnapshot(pool: string, volume: string, name: string, { target, ...options }: TargetOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'DELETE', path: volumePath(pool, volume, 'snapshots', name), query: { target } });
  }
}

const volumePath = (pool: string, ...below: string[]): string[] => ['storage-pools', pool, 'volumes', 'custom', ...below];
