import { RoleBindingService } from './binding/role-binding.service.js';
import type { CommandRunner } from './command/command-runner.js';
import { GroupService } from './group/group.service.js';
import { STRICT_POLICY, type IssuerPolicy } from './issuer/issuer.js';
import { IssuerService } from './issuer/issuer.service.js';
import { SystemPauseService } from './pause/system-pause.service.js';
import { PrincipalService } from './principal/principal.service.js';
import { CustomRoleService } from './role/custom-role.service.js';

/** What the resolvers of this room ask for. @param issuers what the operator lets issuers be */
export function identityServices(commands: CommandRunner, issuers: IssuerPolicy = STRICT_POLICY): object[] {
  return [
    new PrincipalService(commands),
    new RoleBindingService(commands),
    new CustomRoleService(commands),
    new GroupService(commands),
    new IssuerService(commands, issuers),
    new SystemPauseService(commands),
  ];
}
