import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { applyRows, ROWS } from '#database';
import { eventsRoom } from '#events';
import { CommandRunner, identityRoom, PrincipalService, RoleBindingService } from '#identity';
import { applyScopes, SCOPES, scopesRoom } from '#scopes';
import { newTenant, roomDatabase, systemAccess, type RoomDatabase } from '#testing';

describe('granting a role', () => {
  let room: RoomDatabase;
  let service: PrincipalService;
  let bindings: RoleBindingService;
  const access = systemAccess();

  beforeAll(async () => {
    room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
    room.applier.register(ROWS, applyRows);
    room.applier.register(SCOPES, applyScopes);
    const commands = new CommandRunner(room.database, room.applier, room.log);
    service = new PrincipalService(commands);
    bindings = new RoleBindingService(commands);
  });
  afterAll(() => room.close());

  it('leaves a principal inside of its own project: whoever may make tokens of it must not rise by them', async () => {
    const tenant = await newTenant(room.database, 2);
    const [own = '', other = ''] = tenant.projectIds;
    const { result } = await service.createServiceAccount(access, { scopeId: own, name: 'robot' });
    const grant = (scopeId: string): Promise<unknown> => bindings.grantRole(access, { principalId: String(result.id), scopeId, role: 'OWNER' });
    for (const scopeId of [tenant.id, other]) {
      await expect(grant(scopeId)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.scopeId' });
    }
    await grant(own);
  });
});
