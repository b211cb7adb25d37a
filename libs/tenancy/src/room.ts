import type { RoomSchema } from '#database';
import { Tenancy1764000800000 } from './migrations/1764000800000-tenancy.js';
import { ProjectEntity } from './project/project.entity.js';
import { TenantEntity } from './tenant/tenant.entity.js';
import { ZoneGrantEntity } from './zone-grant/zone-grant.entity.js';

export const tenancyRoom: RoomSchema = {
  name: 'tenancy',
  entities: [TenantEntity, ProjectEntity, ZoneGrantEntity],
  migrations: [Tenancy1764000800000],
};
