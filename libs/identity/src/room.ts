import type { RoomSchema } from '#database';
import { AuditEntryEntity } from './audit/audit.entity.js';
import { RequestBudgetEntity } from './budget/request-budget.entity.js';
import { IdempotencyKeyEntity, PlanEntity } from './command/command.entity.js';
import { GroupMembershipEntity, PrincipalGroupEntity } from './group/group.entity.js';
import { IssuerEntity } from './issuer/issuer.entity.js';
import { Identity1764000400000 } from './migrations/1764000400000-identity.js';
import { Groups1764000401000 } from './migrations/1764000401000-groups.js';
import { Roles1764000401001 } from './migrations/1764000401001-roles.js';
import { Audit1764000401002 } from './migrations/1764000401002-audit.js';
import { Issuers1764000402000 } from './migrations/1764000402000-issuers.js';
import { RequestBudgets1764000402001 } from './migrations/1764000402001-request-budgets.js';
import { SystemPause1764000402002 } from './migrations/1764000402002-system-pause.js';
import { IssuersApart1764000402003 } from './migrations/1764000402003-issuers-apart.js';
import { OwnersHeld1764000402004 } from './migrations/1764000402004-owners-held.js';
import { SystemPauseEntity } from './pause/system-pause.entity.js';
import { ApiTokenEntity, PrincipalEntity, RoleBindingEntity } from './principal/principal.entity.js';
import { CustomRoleEntity } from './role/custom-role.entity.js';

export const identityRoom: RoomSchema = {
  name: 'identity',
  entities: [
    IssuerEntity,
    RequestBudgetEntity,
    SystemPauseEntity,
    PrincipalEntity,
    PrincipalGroupEntity,
    GroupMembershipEntity,
    CustomRoleEntity,
    RoleBindingEntity,
    ApiTokenEntity,
    AuditEntryEntity,
    IdempotencyKeyEntity,
    PlanEntity,
  ],
  migrations: [Identity1764000400000, Groups1764000401000, Roles1764000401001, Audit1764000401002, Issuers1764000402000, RequestBudgets1764000402001, SystemPause1764000402002, IssuersApart1764000402003, OwnersHeld1764000402004],
};
