import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityResolvers } from '#identity/api';
import { CommandRunner, identityServices } from '#identity';
import { accessWith, newTenant, signInBench, systemAccess, testApi, type SignInBench, type TestApi, type TestTenant } from '#testing';

const ISSUER = 'id name scopeId url audience jwksUri clientId subjectClaim nameClaim groupsClaim algorithms enabled version';

interface Payload {
  issuer: { id: string; version: number } | null;
  plan: { resources: { action: string; kind: string }[] } | null;
}

describe('issuers by the API', () => {
  let bench: SignInBench;
  let api: TestApi;
  let tenant: TestTenant;
  let other: TestTenant;

  beforeAll(async () => {
    bench = await signInBench();
    [tenant, other] = [await newTenant(bench.room.database), await newTenant(bench.room.database)];
    const { database, applier, log } = bench.room;
    const commands = new CommandRunner(database, applier, log);
    const ownerOf = ({ id }: TestTenant): ReturnType<typeof accessWith> => accessWith([{ role: 'OWNER', tenantId: id, projectId: null }]);
    api = await testApi({
      log,
      services: [database, commands, ...identityServices(commands)],
      resolvers: identityResolvers,
      callers: { operator: systemAccess(), ann: ownerOf(tenant), bob: ownerOf(other), nobody: accessWith([]) },
    });
  });
  afterAll(async () => {
    await api.close();
    await bench.close();
  });

  const mutate = async (caller: string, name: string, input: Record<string, unknown>): Promise<Payload> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const document = `mutation ($input: ${type}!) { ${name}(input: $input) { issuer { ${ISSUER} } plan { resources { action kind } } } }`;
    const data = await api.data<Record<string, Payload>>(caller, document, { input });
    return data[name] ?? { issuer: null, plan: null };
  };
  const refusal = async (caller: string, name: string, input: Record<string, unknown>): Promise<unknown> => {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    const { errors } = await api.ask(caller, `mutation ($input: ${type}!) { ${name}(input: $input) { issuer { id } } }`, { input });
    return errors?.[0]?.extensions;
  };
  const names = async (caller: string, scopeId?: string): Promise<string[]> => {
    const { issuers } = await api.data<{ issuers: { nodes: { name: string }[]; totalCount: number } }>(
      caller,
      'query ($scopeId: ID) { issuers(scopeId: $scopeId) { nodes { name } totalCount } }',
      { scopeId },
    );
    expect(issuers.totalCount).toBe(issuers.nodes.length);
    return issuers.nodes.map(({ name }) => name);
  };
  const input = (name: string): Record<string, unknown> => ({ name, url: `https://${name}.example`, audience: 'muon' });

  it('are made with defaults, planned, changed by version and deleted', async () => {
    const planned = await mutate('ann', 'createIssuer', { ...input('mine'), scopeId: tenant.id, dryRun: true });
    expect(planned).toEqual({ issuer: null, plan: { resources: [{ action: 'CREATE', kind: 'issuer' }] } });
    const { issuer } = await mutate('ann', 'createIssuer', { ...input('mine'), scopeId: tenant.id, jwksUri: null, enabled: null });
    expect(issuer).toMatchObject({
      name: 'mine',
      scopeId: tenant.id,
      jwksUri: null,
      clientId: null,
      subjectClaim: 'sub',
      nameClaim: 'name',
      groupsClaim: null,
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      enabled: true,
    });
    const id = issuer?.id;
    const changed = await mutate('ann', 'updateIssuer', { id, expectedVersion: issuer?.version, groupsClaim: '/realm_access/roles', enabled: false, nameClaim: null });
    expect(changed.issuer).toMatchObject({ groupsClaim: '/realm_access/roles', enabled: false, nameClaim: 'name' });
    expect((await mutate('ann', 'updateIssuer', { id, groupsClaim: null })).issuer).toMatchObject({ groupsClaim: null });
    expect(await refusal('ann', 'updateIssuer', { id, expectedVersion: issuer?.version, enabled: true })).toMatchObject({ code: 'CONFLICT' });
    expect(await api.data('ann', `{ node(id: "${id ?? ''}") { __typename id } }`)).toEqual({ node: { __typename: 'Issuer', id } });
    expect(await mutate('ann', 'deleteIssuer', { id })).toEqual({ issuer: null, plan: null });
    expect(await names('ann')).toEqual([]);
  });

  it('are seen and changed by the owners of their scope alone', async () => {
    const { issuer } = await mutate('ann', 'createIssuer', { ...input('of-ann'), scopeId: tenant.id });
    await mutate('operator', 'createIssuer', input('of-system'));
    expect(await names('ann')).toEqual(['of-ann']);
    expect(await names('bob')).toEqual([]);
    expect(await names('nobody')).toEqual([]);
    expect(await names('operator')).toEqual(['of-ann', 'of-system']);
    expect(await names('operator', tenant.id)).toEqual(['of-ann']);
    expect(await names('bob', tenant.id)).toEqual([]);
    for (const caller of ['bob', 'nobody']) {
      expect(await refusal(caller, 'createIssuer', { ...input('x'), scopeId: tenant.id })).toMatchObject({ code: 'NOT_FOUND', field: 'input.scopeId' });
      expect(await refusal(caller, 'createIssuer', input('x'))).toMatchObject({ code: 'NOT_FOUND' });
      for (const name of ['updateIssuer', 'deleteIssuer']) expect(await refusal(caller, name, { id: issuer?.id })).toMatchObject({ code: 'NOT_FOUND', field: 'input.id' });
      const { errors } = await api.ask(caller, `{ node(id: "${issuer?.id ?? ''}") { id } }`);
      expect(errors?.[0]?.extensions.code).toBe('NOT_FOUND');
    }
  });

  it.each([
    [{ name: 'Not A Name' }, 'INVALID_INPUT', 'input.name'],
    [{ url: 'http://issuer.example' }, 'INVALID_INPUT', 'input.url'],
    [{ url: 'https://issuer.example/?a=b' }, 'INVALID_INPUT', 'input.url'],
    [{ url: 'nonsense' }, 'INVALID_INPUT', 'input.url'],
    [{ audience: '' }, 'INVALID_INPUT', 'input.audience'],
    [{ algorithms: [] }, 'INVALID_INPUT', 'input.algorithms'],
    [{ subjectClaim: '' }, 'INVALID_INPUT', 'input.subjectClaim'],
    [{ algorithms: ['HS256'] }, 'INVALID_INPUT', undefined],
  ])('are refused with %j: %s', async (change, code, field) => {
    const found = (await refusal('operator', 'createIssuer', { ...input('wrong'), ...change })) as { code: string; field?: string };
    expect(found.code).toBe(code);
    if (field !== undefined) expect(found.field).toBe(field);
  });

  it('belong to no project', async () => {
    expect(await refusal('ann', 'createIssuer', { ...input('x'), scopeId: tenant.projectIds[0] })).toMatchObject({ code: 'INVALID_INPUT', field: 'input.scopeId' });
  });
});
