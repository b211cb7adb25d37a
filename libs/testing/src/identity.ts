import type { JsonObject } from '#core';
import { applyRows, ROWS, type Database } from '#database';
import { eventsRoom } from '#events';
import {
  Authenticator,
  CommandRunner,
  CustomRoleService,
  GroupService,
  identityRoom,
  IssuerService,
  PrincipalService,
  registerIdentitySections,
  RoleBindingService,
  STRICT_POLICY,
  SystemPause,
  SystemPauseService,
  type Access,
  type Role,
} from '#identity';
import { registerScopeSections, scopesRoom } from '#scopes';
import { roomDatabase, systemAccess, type RoomDatabase } from './room-database.js';

/** The room of identities alone, with its services on one connection pool or another. */
export interface IdentityBench extends RoomDatabase {
  readonly system: Access;
  readonly commands: CommandRunner;
  readonly services: IdentityServices;
  /** The services of another process. */
  servicesOf(database: Database): IdentityServices;
  /** A service account of a scope with a token, and the roles that it is given. */
  account(name: string, scopeId: string, roles?: readonly { scopeId: string; role: Role }[]): Promise<TestAccount>;
}

export interface IdentityServices {
  readonly principals: PrincipalService;
  readonly bindings: RoleBindingService;
  readonly roles: CustomRoleService;
  readonly groups: GroupService;
  readonly issuers: IssuerService;
  readonly pauses: SystemPauseService;
}

export interface TestAccount {
  readonly id: string;
  readonly token: string;
  readonly tokenId: string;
  readonly bindingIds: readonly string[];
  /** What it may do now, as a process finds out that has not seen it before. */
  access(): Promise<Access>;
}

/** The id that a command answers with. */
export function idOf(result: JsonObject): string {
  if (typeof result.id === 'string') return result.id;
  throw new Error(`the command answered without an id: ${JSON.stringify(result)}`);
}

export async function identityBench(): Promise<IdentityBench> {
  const room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
  room.applier.register(ROWS, applyRows);
  registerScopeSections(room.applier);
  registerIdentitySections(room.applier);
  const commandsOf = (database: Database): CommandRunner => new CommandRunner(database, room.applier, room.log, new SystemPause(database));
  const servicesOf = (database: Database): IdentityServices => {
    const commands = commandsOf(database);
    return {
      principals: new PrincipalService(commands),
      bindings: new RoleBindingService(commands),
      roles: new CustomRoleService(commands),
      groups: new GroupService(commands),
      issuers: new IssuerService(commands, STRICT_POLICY),
      pauses: new SystemPauseService(commands),
    };
  };
  const services = servicesOf(room.database);
  const system = systemAccess();
  return {
    ...room,
    commands: commandsOf(room.database),
    system,
    services,
    servicesOf,
    async account(name, scopeId, roles = []) {
      const { result } = await services.principals.createServiceAccount(system, { scopeId, name });
      const id = idOf(result);
      const made = await services.principals.createApiToken(system, { principalId: id, name: 'first' });
      const bindingIds: string[] = [];
      for (const role of roles) bindingIds.push(idOf((await services.bindings.grantRole(system, { principalId: id, ...role })).result));
      const token = made.token ?? '';
      const access = (): Promise<Access> => new Authenticator(room.database).authenticate(token, { requestId: 'spec', address: null });
      return { id, token, tokenId: idOf(made.result), bindingIds, access };
    },
  };
}
