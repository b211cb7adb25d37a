import { distinguishingOf, hashOf, type DiskHealth, type DiskSpecification, type DriverCall, type ObservedDisk, type Outcome, type StorageDriver } from '#drivers';
import type { SimulatedBackend } from './backend.js';

export class SimulatedStorage implements StorageDriver {
  constructor(private readonly backend: SimulatedBackend) {}

  async createDisk(call: DriverCall, specification: DiskSpecification): Promise<Outcome<ObservedDisk>> {
    return this.create(call, 'createDisk', specification, null);
  }

  async cloneDisk(call: DriverCall, sourceDiskId: string, specification: DiskSpecification): Promise<Outcome<ObservedDisk>> {
    return this.create(call, 'cloneDisk', specification, sourceDiskId);
  }

  async resizeDisk(call: DriverCall, diskId: string, sizeGib: number): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'resizeDisk',
      effect: 'CHANGE',
      needs: ['storage'],
      ids: [diskId],
      arguments: { sizeGib },
    });
  }

  async limitDisk(call: DriverCall, diskId: string, iopsLimit: number | null): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'limitDisk',
      effect: 'CHANGE',
      needs: ['storage', ...(iopsLimit === null ? [] : ['iopsLimit' as const])],
      ids: [diskId],
      arguments: { iopsLimit },
    });
  }

  async deleteDisk(call: DriverCall, diskId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, { method: 'deleteDisk', effect: 'REMOVE', needs: ['storage'], ids: [diskId] });
  }

  async createSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'createSnapshot',
      effect: 'CHANGE',
      needs: ['storage', 'snapshot'],
      ids: [diskId, snapshotId],
      objectId: snapshotId,
    });
  }

  async deleteSnapshot(call: DriverCall, diskId: string, snapshotId: string): Promise<Outcome<void>> {
    return this.backend.ask(call, {
      method: 'deleteSnapshot',
      effect: 'REMOVE',
      needs: ['storage', 'snapshot'],
      ids: [diskId, snapshotId],
      objectId: snapshotId,
    });
  }

  async diskHealth(call: DriverCall, diskIds: string[]): Promise<Map<string, DiskHealth>> {
    const health = await this.backend.look<Record<string, DiskHealth>>(call, {
      method: 'diskHealth',
      effect: 'READ',
      needs: ['storage'],
      ids: diskIds,
    });
    return new Map(Object.entries(health));
  }

  async getDisk(call: DriverCall, diskId: string): Promise<ObservedDisk | undefined> {
    return this.backend.look(call, { method: 'getDisk', effect: 'READ', needs: ['storage'], ids: [diskId] });
  }

  async listDisks(call: DriverCall, after: string | null, limit: number): Promise<ObservedDisk[]> {
    return this.backend.look(call, { method: 'listDisks', effect: 'READ', needs: ['storage'], arguments: { after, limit } });
  }

  private async create(
    call: DriverCall,
    method: string,
    specification: DiskSpecification,
    sourceDiskId: string | null,
  ): Promise<Outcome<ObservedDisk>> {
    const { diskId, ownership, ...rest } = specification;
    return this.backend.ask(call, {
      method,
      effect: 'CHANGE',
      needs: ['storage', ...(specification.iopsLimit === null ? [] : ['iopsLimit' as const])],
      ids: sourceDiskId === null ? [diskId] : [diskId, sourceDiskId],
      arguments: { ...rest, ...ownership, sourceDiskId, hash: hashOf({ ...distinguishingOf(specification), sourceDiskId }) },
    });
  }
}
