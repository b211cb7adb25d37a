import type { RoomSchema } from '#database';
import { BackendEntity, BackendHeartbeatEntity } from './backend/backend.entity.js';
import { DatastoreEntity, DatastoreHeartbeatEntity } from './datastore/datastore.entity.js';
import { HostEntity, HostHeartbeatEntity } from './host/host.entity.js';
import { InstallationEntity } from './installation/installation.entity.js';
import { Infrastructure1764000700000 } from './migrations/1764000700000-infrastructure.js';
import { DatastoreGuarantees1764506350000 } from './migrations/1764506350000-datastore-guarantees.js';
import { HostSilence1764505000000 } from './migrations/1764505000000-host-silence.js';
import { NetworkBehind1764506200000 } from './migrations/1764506200000-network-behind.js';
import { NetworkTellings1764506330000 } from './migrations/1764506330000-network-tellings.js';
import { RackEntity } from './rack/rack.entity.js';
import { ZoneEntity } from './zone/zone.entity.js';

export const infrastructureRoom: RoomSchema = {
  name: 'infrastructure',
  entities: [
    InstallationEntity,
    ZoneEntity,
    RackEntity,
    BackendEntity,
    BackendHeartbeatEntity,
    HostEntity,
    HostHeartbeatEntity,
    DatastoreEntity,
    DatastoreHeartbeatEntity,
  ],
  migrations: [
    Infrastructure1764000700000,
    HostSilence1764505000000,
    NetworkBehind1764506200000,
    NetworkTellings1764506330000,
    DatastoreGuarantees1764506350000,
  ],
};
