import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readToken } from '#identity';
import { DemoApi, Refused } from '../../apps/standalone/src/demo/api.js';
import { describeTestDatacenter, type TestDatacenter } from '../support/datacenter.js';
import { MuonCommand } from '../support/muon.js';
import { startSystem, type System } from '../support/system.js';

describe('the muon command', () => {
  let system: System;
  let datacenter: TestDatacenter;
  let operator: DemoApi;
  /** Signs in by `muon login`. */
  const ann = new MuonCommand();
  let owner: MuonCommand;
  let projectId = '';

  beforeAll(async () => {
    system = await startSystem();
    operator = new DemoApi(system.owner.url, system.owner.token ?? '');
    datacenter = await describeTestDatacenter(system);
    const versions = [
      { name: 'kubernetes-1-34', kind: 'KUBERNETES', release: '1.34.2', image: 'debian-12' },
      { name: 'swarm', kind: 'SWARM', release: '20.10.24', image: 'debian-12' },
    ];
    for (const version of versions) {
      await operator
        .request('mutation ($input: CreateClusterVersionInput!) { createClusterVersion(input: $input) { clusterVersion { id } } }', { input: version })
        .catch((error: unknown) => {
          if (!(error instanceof Refused) || error.code !== 'ALREADY_EXISTS') throw error;
        });
    }
    owner = new MuonCommand({ MUON_URL: system.owner.url, MUON_TOKEN: system.owner.token ?? '' });
  });
  afterAll(async () => {
    ann.remove();
    owner?.remove();
    await operator?.close();
    await datacenter?.close();
    await system?.close();
  });

  it('makes a bootstrap token without asking anybody', async () => {
    const { code, stdout, stderr } = await new MuonCommand().run(['token', 'generate']);
    expect([code, stderr]).toEqual([0, '']);
    expect(readToken(stdout.trim())).toBeDefined();
  });

  it.each([
    ['nothing to do', []],
    ['a command that is not there', ['tidy']],
    ['an option that is missing', ['tenant', 'onboard', '--name', 'acme']],
    ['an output that is not there', ['token', 'generate', '--output', 'xml']],
    ['a limit that is none', ['tenant', 'onboard', '--name', 'a', '--owner', 'b', '--quota', 'vm.cpu=many']],
    ['a time that is none', ['operation', 'watch', 'op_1', '--timeout', 'soon']],
    ['a pool without a count', ['cluster', 'create', 'a', '--project', 'b', '--release', '1', '--flavor', 'c', '--pool', 'd=e']],
  ])('ends with 2 at %s', async (_title, commandArguments) => {
    const { code, stdout, stderr } = await owner.run(commandArguments);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toContain('    at ');
  });

  it('ends with 2 and says what to do without a login, and with 3 where nobody answers', async () => {
    const unknown = await ann.run(['operation', 'watch', 'op_1']);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('muon login --url') });
    const away = await owner.with({ MUON_URL: 'http://127.0.0.1:9999', MUON_TOKEN: 'any' }).run(['operation', 'watch', 'op_1']);
    expect(away).toMatchObject({ code: 3, stderr: expect.stringContaining('http://127.0.0.1:9999') });
  });

  it('shows what onboarding would do, and does it', async () => {
    const onboard = ['tenant', 'onboard', '--name', 'acme', '--owner', 'ann', '--project', 'shop', '--quota', 'vm.count=20', 'vm.cpu=40'];
    const planned = await owner.run([...onboard, '--plan']);
    expect(planned.code, planned.stderr).toBe(0);
    expect(planned.stdout).toMatch(/CREATE\s+tenant\s+acme/);
    expect(await owner.json<{ nodes: unknown[] }>(...onboard, '--plan')).toMatchObject({ problems: [] });
    const made = await owner.json<{ tenant: { id: string }; project: { id: string }; ownerToken: string }>(...onboard, '--owner-token');
    projectId = made.project.id;
    expect(readToken(made.ownerToken)).toBeDefined();
    const login = await ann.run(['login', '--url', `${system.owner.url}/graphql`], `${made.ownerToken}\n`);
    expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('ann') });
    expect(login.stdout + login.stderr).not.toContain(made.ownerToken);
  });

  it('keeps the login where nobody else can read it', async () => {
    const file = join(ann.home, 'muon', 'config.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { url: string; token: string };
    expect(kept.url).toBe(system.owner.url);
    const refused = await ann.run(['login', '--url', system.owner.url], `muon_${'0'.repeat(26)}_${'A'.repeat(43)}`);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('UNAUTHENTICATED') });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(kept);
    // A token that was kept for one address does not go to another.
    const elsewhere = await ann.run(['operation', 'watch', 'op_1', '--url', 'http://127.0.0.1:9998']);
    expect(elsewhere).toMatchObject({ code: 2, stderr: expect.stringContaining('There is no token for http://127.0.0.1:9998') });
    const open = join(ann.home, 'muon', 'open');
    writeFileSync(open, kept.token, { mode: 0o644 });
    expect((await ann.with({ MUON_TOKEN_FILE: open }).run(['cluster', 'list'])).code).toBe(0);
  });

  it('tells a refusal with its code, its field and what would be right', async () => {
    const wrong = ['tenant', 'onboard', '--name', 'Not-A-Name-', '--owner', 'bob'];
    const { code, stderr } = await owner.run(wrong);
    expect(code).toBe(1);
    expect(stderr).toMatch(/INVALID_INPUT .*\n\s+field\s+input\.name/);
    const told = JSON.parse((await owner.run([...wrong, '-o', 'json'])).stderr) as { error: object };
    expect(told.error).toMatchObject({ exitCode: 1, problems: [{ code: 'INVALID_INPUT', field: 'input.name', fault: 'USER' }] });
    const mine = await ann.run(['tenant', 'onboard', '--name', 'other', '--owner', 'ann']);
    expect(mine).toMatchObject({ code: 1, stderr: expect.stringContaining('FORBIDDEN') });
  });

  const cluster = ['--project', 'shop', '--release', '1.34.2', '--flavor', 'small', '--pool', 'workers=small:2'];

  it('shows what a cluster would be, and why it would not', async () => {
    const { code, stdout } = await ann.run(['cluster', 'create', 'prod', ...cluster, '--plan']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/CREATE\s+cluster\s+prod/);
    expect(await ann.json('cluster', 'list')).toEqual([]);
    const large = await ann.run(['cluster', 'create', 'large', ...cluster, 'more=small:30', '--plan']);
    expect(large).toMatchObject({ code: 1, stderr: expect.stringContaining('QUOTA_EXCEEDED') });
  });

  it('makes a cluster and shows its steps while it waits', { timeout: 180_000 }, async () => {
    const { code, stdout, stderr } = await ann.run(['cluster', 'create', 'prod', ...cluster, '--wait']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/step\s+machines\s+STARTED[^]*step\s+machines\s+DONE[^]*step\s+join-workers\s+DONE/);
    expect(stderr).toMatch(/operation\s+clusters\.cluster\.create\s+SUCCEEDED\n$/);
    expect(stdout).toMatch(/state\s+READY/);
    expect(stdout).toMatch(/workers\s+READY\s+2\/2/);
    const list = await ann.run(['cluster', 'list', '--project', projectId]);
    expect(list.stdout).toMatch(/prod\s+KUBERNETES\s+1\.34\.2\s+READY\s+3\s+2\/2/);
    expect(await ann.run(['cluster', 'create', 'prod', ...cluster])).toMatchObject({ code: 1, stderr: expect.stringContaining('ALREADY_EXISTS') });
  });

  it('prints a kubeconfig, or writes it where nobody else can read it', async () => {
    const { code, stdout } = await ann.run(['cluster', 'kubeconfig', 'prod']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^apiVersion: v1\n/);
    const file = join(ann.home, 'kubeconfig');
    expect(await ann.json('cluster', 'kubeconfig', 'prod', '--file', file, '--valid', '30m')).toMatchObject({ file });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain('client-key-data');
  });

  it('writes what docker needs for a Swarm cluster into a folder that nobody else can read, and a shell can use', async () => {
    const wanted = ['--project', projectId, '--kind', 'swarm', '--release', '20.10.24', '--flavor', 'small', '--control-nodes', '1'];
    expect(await ann.run(['cluster', 'create', 'docks', ...wanted, '--wait'])).toMatchObject({ code: 0 });
    const directory = join(ann.home, "ann's bundle");
    const written = (await ann.json('cluster', 'docker-bundle', 'docks', '--directory', directory, '--valid', '30m')) as { host: string };
    expect(written).toMatchObject({ directory, host: expect.stringMatching(/^tcp:.*:2376$/) });
    const files = ['ca.pem', 'cert.pem', 'env.sh', 'key.pem'];
    expect(readdirSync(directory).sort()).toEqual(files);
    for (const file of files) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(directory, 'key.pem'), 'utf8')).toContain('PRIVATE KEY');
    const environment = execFileSync('sh', ['-c', '. "$0"; echo "$DOCKER_HOST $DOCKER_TLS_VERIFY $DOCKER_CERT_PATH"', join(directory, 'env.sh')], { encoding: 'utf8' });
    expect(environment).toBe(`${written.host} 1 ${directory}\n`);
    expect(await ann.run(['cluster', 'docker-bundle', 'prod', '--directory', directory])).toMatchObject({ code: 1, stderr: expect.stringContaining('createKubeconfig') });
    expect(await ann.run(['cluster', 'delete', 'docks', '--wait'])).toMatchObject({ code: 0 });
  }, 120_000);

  it('ends with 5 when the time to wait is over, and 0 when somebody goes on waiting', { timeout: 180_000 }, async () => {
    const world = await system.world(datacenter.backendId);
    await world.addFault({ kind: 'STILL_RUNNING', method: 'createMachine', delayMs: 6000 });
    const short = await ann.run(['cluster', 'scale', 'prod', '--pool', 'workers', '--nodes', '3', '--wait', '--timeout', '2s']);
    expect(short).toMatchObject({ code: 5, stdout: '' });
    const operationId = /muon operation watch (op_\w+)/.exec(short.stderr)?.[1] ?? '';
    expect(await ann.json('operation', 'watch', operationId)).toMatchObject({ id: operationId, state: 'SUCCEEDED' });
    expect(await ann.json('cluster', 'get', 'prod')).toMatchObject({ state: 'READY', nodePools: [{ count: 3, readyCount: 3 }] });
  });

  it('ends with 4 and the reason when the operation does not succeed', { timeout: 180_000 }, async () => {
    const world = await system.world(datacenter.backendId);
    await world.addFault({ kind: 'BUSY', method: 'createMachine', times: Number.POSITIVE_INFINITY });
    const started = await ann.json<{ operationId: string; clusterId: string }>('cluster', 'create', 'brief', ...cluster);
    await operator.request('mutation ($id: ID!) { cancelOperation(input: { id: $id }) { operation { id } } }', { id: started.operationId });
    const ended = await ann.run(['operation', 'watch', started.operationId]);
    expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining('ended CANCELLED') });
    await world.clearFaults();
    expect((await ann.run(['cluster', 'delete', started.clusterId, '--wait'])).code).toBe(0);
  });

  it('deletes a cluster, and nothing is left', { timeout: 180_000 }, async () => {
    const planned = await ann.run(['cluster', 'delete', 'prod', '--plan']);
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringMatching(/DELETE\s+cluster\s+prod/) });
    const { code, stdout, stderr } = await ann.run(['cluster', 'delete', 'prod', '--wait', '--output', 'json']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'SUCCEEDED', proof: { removed: { loadBalancers: 1 }, left: 0 } });
    expect(await ann.run(['cluster', 'get', 'prod'])).toMatchObject({ code: 1, stderr: expect.stringContaining('NOT_FOUND') });
    const left = (await datacenter.objects()).filter((object) => object.projectId === projectId);
    expect(left).toEqual([]);
  });
});
