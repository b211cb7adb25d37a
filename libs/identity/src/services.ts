import { RoleBindingService } from './binding/role-binding.service.js';
import type { CommandRunner } from './command/command-runner.js';
import { GroupService } from './group/group.service.js';
import { PrincipalService } from './principal/principal.service.js';
import { CustomRoleService } from './role/custom-role.service.js';

/** What the resolvers of this room ask for. */
export function identityServices(commands: CommandRunner): object[] {
  return [new PrincipalService(commands), new RoleBindingService(commands), new CustomRoleService(commands), new GroupService(commands)];
}
