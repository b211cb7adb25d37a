import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { CertificateAndKey } from '../../credentials/certificate.js';
import type { BlueprintCluster, BlueprintNode, ClusterSecrets, GuestScript } from '../blueprint.js';
import { swarmBlueprint as blueprint } from './swarm-blueprint.js';

const cluster: BlueprintCluster = {
  id: 'cls_1',
  name: 'blue',
  release: '20.10.24',
  apiAddress: '10.32.0.9',
  externalAddresses: ['198.51.100.7', 'blue.example.com'],
  controlAddresses: ['10.32.0.2', '10.32.0.3'],
};
const control: BlueprintNode = { machineId: 'vm_1', name: 'blue-control-abc', role: 'CONTROL', address: '10.32.0.2', zoneId: 'zon_1', pool: null };
const worker: BlueprintNode = { ...control, machineId: 'vm_2', name: 'blue-workers-abc', role: 'WORKER', address: '10.32.0.5', pool: { name: 'workers', labels: { team: 'shop' } } };
const tokens = { manager: 'SWMTKN-1-of-managers', worker: 'SWMTKN-1-of-workers' };
let secrets: ClusterSecrets;
let authority: CertificateAndKey;

beforeAll(async () => {
  secrets = { foundation: await blueprint.createSecrets(), joinToken: JSON.stringify(tokens) };
  authority = JSON.parse(secrets.foundation) as CertificateAndKey;
});

const closing = (joined: readonly BlueprintNode[]): GuestScript => {
  const script = blueprint.closeJoining?.(cluster, joined);
  if (script === undefined) throw new Error('joining is never closed');
  return script;
};

const scripts = async (): Promise<Record<string, GuestScript>> => ({
  initialise: await blueprint.initialise(cluster, control, { ...secrets, joinToken: null }),
  openJoining: blueprint.openJoining(cluster, { ...secrets, joinToken: null }),
  joinControl: await blueprint.join(cluster, { ...control, address: '10.32.0.3' }, secrets),
  joinWorker: await blueprint.join(cluster, worker, secrets),
  closeJoining: closing([control, worker]),
  readyControl: blueprint.checkReady(cluster, control),
  readyWorker: blueprint.checkReady(cluster, worker),
  drain: blueprint.drain(cluster, worker, { unreachable: false }),
  drainLost: blueprint.drain(cluster, worker, { unreachable: true }),
  undrain: blueprint.undrain(cluster, worker),
  removeControl: blueprint.remove(cluster, control),
  removeWorker: blueprint.remove(cluster, worker),
});

const filesOf = (script: GuestScript | undefined): Record<string, string> =>
  Object.fromEntries(
    (script?.standardInput ?? '').trim().split('\n').map((line) => {
      const [path = '', , content = ''] = line.split(' ');
      return [path, Buffer.from(content, 'base64').toString()];
    }),
  );

describe('the scripts of Swarm nodes', () => {
  it('are shell, short, the same for the same arguments, and hold no secret', async () => {
    const again = await scripts();
    const words = [...Object.values(tokens), String(authority.privateKeyPem.split('\n')[1])];
    for (const [name, { script, timeoutSeconds }] of Object.entries(await scripts())) {
      const checked = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
      expect([name, checked.status, checked.stderr]).toEqual([name, 0, '']);
      expect(script.length).toBeLessThan(16 * 1024);
      expect(script).toBe(again[name]?.script);
      expect(timeoutSeconds).toBeGreaterThan(0);
      for (const word of words) expect(script).not.toContain(word);
    }
  });

  it('are the same whichever managers are well at the moment: a run that goes on is found again', async () => {
    const other = { ...cluster, controlAddresses: ['10.32.0.3'] };
    expect((await blueprint.join(other, worker, secrets)).script).toBe((await scripts()).joinWorker?.script);
  });

  it('give no node the authority’s key, and each the token of its own role', async () => {
    const { initialise, joinControl, joinWorker } = await scripts();
    for (const script of [initialise, joinControl, joinWorker]) expect(Object.values(filesOf(script)).join('')).not.toContain(authority.privateKeyPem);
    expect(filesOf(joinControl)['/run/muon-swarm/token']).toBe(`${tokens.manager}\n`);
    expect(filesOf(joinWorker)).toEqual({ '/run/muon-swarm/token': `${tokens.worker}\n`, '/run/muon-swarm/managers': '10.32.0.2\n10.32.0.3\n' });
  });

  it('give managers certificates for every name and address that clients come by', async () => {
    const pem = filesOf((await scripts()).joinControl)['/etc/docker/muon/server-cert.pem'] ?? '';
    const certificate = new X509Certificate(pem);
    expect(certificate.verify(new X509Certificate(authority.certificatePem).publicKey)).toBe(true);
    for (const address of ['10.32.0.3', '10.32.0.9', '198.51.100.7', '127.0.0.1']) expect(certificate.checkIP(address)).toBe(address);
    for (const name of ['blue-control-abc', 'blue.example.com', 'localhost']) expect(certificate.checkHost(name)).toBe(name);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it('tell in their answers how nodes join', () => {
    expect(blueprint.createJoinToken()).toBeNull();
    expect(blueprint.openJoining(cluster, { ...secrets, joinToken: null }).answers).toEqual(['manager', 'worker']);
  });
});

it('user data are cloud-init, open no door, and hold no secret', () => {
  const text = blueprint.userData({ name: 'blue-control-abc', role: 'CONTROL', release: '20.10.24' });
  expect(text.startsWith('#cloud-config\n')).toBe(true);
  expect(parse(text)).toMatchObject({ hostname: 'blue-control-abc', ssh_pwauth: false, disable_root: true });
  expect(text).not.toMatch(/ssh_authorized_keys|password|token/);
});

it('writes its API as docker does', () => {
  expect(blueprint.apiEndpoint('10.32.0.9')).toBe('tcp://10.32.0.9:2376');
  expect(blueprint.apiEndpoint('fd00::9')).toBe('tcp://[fd00::9]:2376');
});

describe('run for real, with stand-ins for the tools', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'muon-swarm-'));
    for (const folder of ['bin', 'run', 'sys/class/net/eth0']) mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, 'sys/class/net/eth0/mtu'), '1442\n');
    state('inactive');
    tool('ip', `echo "2: eth0    inet 10.32.0.2/24 brd 10.32.0.255 scope global eth0"`);
    tool('dockerd', `cat ${root}/dockerd-help 2>/dev/null; exit 0`);
    tool('systemctl', `if [ "$1" = restart ] && [ -e ${root}/state-after-restart ]; then cat ${root}/state-after-restart > ${root}/state; fi`);
    tool('sleep', '');
    // No manager answers at 10.32.0.2.
    tool('timeout', `shift\ncase "$1 $*" in *10.32.0.2*) exit 124;; bash*) exit 0;; esac\nexec "$@"`);
    tool(
      'docker',
      `all="$*"
case "$all" in
  "info --format {{.Swarm.LocalNodeState}}") cat ${root}/state ;;
  "info --format {{.Swarm.ControlAvailable}}") echo true ;;
  "info --format {{.DockerRootDir}}") echo ${root}/docker ;;
  "swarm init "*) echo active > ${root}/state ;;
  "swarm join "*) if [ -e ${root}/join-fails ]; then echo "docker says no" >&2; exit 1; fi; echo active > ${root}/state ;;
  "swarm leave"*) echo inactive > ${root}/state ;;
  "swarm join-token --quiet "*) echo "SWMTKN-of-$4" ;;
  "network inspect ingress"*) cat ${root}/ingress 2>/dev/null ;;
  "network rm ingress") rm ${root}/ingress ;;
  "network create"*"--ingress"*) echo 1392 > ${root}/ingress ;;
  "network inspect docker_gwbridge") test -e ${root}/gwbridge ;;
  "network create"*) touch ${root}/gwbridge ;;
  "node ls --format"*) cat ${root}/nodes ;;
  "node inspect --format {{.Spec.Role}} "*) cat ${root}/role-$5 2>/dev/null || echo worker ;;
  "node inspect --format {{.Status.State}} "*) cat ${root}/status-$5 2>/dev/null || echo ready ;;
  "node demote "*) rm ${root}/role-$3 ;;
  "node rm --force "*) test ! -e ${root}/role-$4 && sed -i "/^$4 /d" ${root}/nodes ;;
  "node ps "*) cat ${root}/tasks 2>/dev/null; echo "gone is Shutdown 1 second ago" > ${root}/tasks ;;
esac`,
    );
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const state = (text: string): void => writeFileSync(join(root, 'state'), `${text}\n`);
  function tool(name: string, body: string): void {
    const path = join(root, 'bin', name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> ${root}/calls\n${body}\n`);
    chmodSync(path, 0o755);
  }
  const here = (text: string): string => text.replaceAll(/(?<![\w.])\/(run\/muon-swarm|etc\/|sys\/class)/g, `${root}/$1`);
  function run({ script, standardInput }: GuestScript): { status: number | null; stdout: string; stderr: string } {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', here(script)], {
      input: here(standardInput ?? ''),
      encoding: 'utf8',
      env: { PATH: `${root}/bin:${process.env.PATH}` },
    });
    return { status, stdout, stderr };
  }
  const calls = (): string[] => (existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : []);
  const callsOf = (start: string): string[] => calls().filter((call) => call.startsWith(start));

  it('initialise the first manager: TLS, networks that fit, and nothing left behind', async () => {
    writeFileSync(join(root, 'ingress'), '\n');
    const result = run(await blueprint.initialise(cluster, control, secrets));
    expect(result).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readdirSync(join(root, 'etc/docker/muon')).sort()).toEqual(['ca.pem', 'server-cert.pem', 'server-key.pem']);
    expect((statSync(join(root, 'etc/docker/muon/server-key.pem')).mode & 0o777).toString(8)).toBe('600');
    const unit = readFileSync(join(root, 'etc/systemd/system/docker.service.d/50-muon.conf'), 'utf8');
    expect(unit).toContain('$DOCKER_OPTS --mtu=1442 --host tcp://0.0.0.0:2376 --tlsverify --tlscacert=');
    expect(callsOf('docker swarm init')).toEqual([expect.stringContaining('--advertise-addr 10.32.0.2')]);
    // The one that Docker made by itself was too wide.
    expect(callsOf('docker network').map((call) => call.split(' ').slice(2, 4).join(' '))).toContain('rm ingress');
    expect(callsOf('docker network create').every((call) => /driver\.mtu=(1442|1392)/.test(call))).toBe(true);
    expect(existsSync(join(root, 'run/muon-swarm'))).toBe(false);
    // Run again, it makes no second cluster.
    expect(run(await blueprint.initialise(cluster, control, secrets)).status).toBe(0);
    expect(callsOf('docker swarm init')).toHaveLength(1);
  });

  it('tell newer releases of Docker how wide overlay networks may be', async () => {
    writeFileSync(join(root, 'dockerd-help'), '      --default-network-opt mapmap\n');
    writeFileSync(join(root, 'ingress'), '1392\n');
    expect(run(await blueprint.initialise(cluster, control, secrets)).status).toBe(0);
    const unit = readFileSync(join(root, 'etc/systemd/system/docker.service.d/50-muon.conf'), 'utf8');
    expect(unit).toContain('--default-network-opt=overlay=com.docker.network.driver.mtu=1392');
  });

  it('join at the first manager that answers, or say so by their exit code, and keep the token to themselves', async () => {
    writeFileSync(join(root, 'join-fails'), '');
    const failed = run(await blueprint.join(cluster, worker, secrets));
    expect(failed).toMatchObject({ status: 1, stderr: 'docker says no\n' });
    expect(existsSync(join(root, 'run/muon-swarm'))).toBe(false);
    rmSync(join(root, 'join-fails'));
    // What the broken attempt left is given up first.
    state('error');
    expect(run(await blueprint.join(cluster, worker, secrets))).toMatchObject({ status: 0, stdout: '' });
    expect(callsOf('docker swarm').map((call) => call.split(' ')[2])).toEqual(['join', 'leave', 'join']);
    expect(callsOf('docker swarm join').at(-1)).toBe(`docker swarm join --token ${tokens.worker} --advertise-addr 10.32.0.5 10.32.0.3:2377`);
    expect(readFileSync(join(root, 'etc/systemd/system/docker.service.d/50-muon.conf'), 'utf8')).not.toContain('tls');
    expect(run(await blueprint.join(cluster, worker, secrets)).status).toBe(0);
    expect(callsOf('docker swarm')).toHaveLength(3);
    state('inactive');
    const alone = await blueprint.join({ ...cluster, controlAddresses: ['10.32.0.2'] }, worker, secrets);
    expect(run(alone)).toMatchObject({ status: 1, stderr: 'no manager of the cluster answers on port 2377\n' });
  });

  it('never have a manager give up the identity by which it may have a vote: another one would leave that behind, dead', async () => {
    const joining = await blueprint.join(cluster, { ...control, address: '10.32.0.2' }, secrets);
    const restarts = (): number => callsOf('systemctl restart').length;
    const certificates = join(root, 'docker/swarm/certificates');
    // Nothing has come of it: it is no member, and begins anew.
    state('error');
    expect(run(joining).status).toBe(0);
    expect(callsOf('docker swarm').map((call) => call.split(' ')[2])).toEqual(['leave', 'join']);
    mkdirSync(certificates, { recursive: true });
    writeFileSync(join(certificates, 'swarm-node.crt'), 'of a manager\n');
    for (const broken of ['error', 'pending']) {
      writeFileSync(join(root, 'calls'), '');
      state(broken);
      writeFileSync(join(root, 'state-after-restart'), 'active\n');
      expect(run(joining)).toMatchObject({ status: 0, stdout: '' });
      expect([restarts(), callsOf('docker swarm')]).toEqual([1, []]);
      state(broken);
      writeFileSync(join(root, 'state-after-restart'), `${broken}\n`);
      const failed = run(joining);
      expect(failed).toMatchObject({ status: 1, stderr: expect.stringContaining('it has joined and does not come to take part') });
      expect(callsOf('docker swarm')).toEqual([]);
    }
    // A worker has no vote to leave behind.
    state('pending');
    expect(run(await blueprint.join(cluster, worker, secrets)).status).toBe(0);
    expect(callsOf('docker swarm').map((call) => call.split(' ')[2])).toEqual(['leave', 'join']);
  });

  it('refuse files that are to go anywhere else', async () => {
    const wrong = { ...(await blueprint.join(cluster, worker, secrets)), standardInput: `/root/.profile 0600 ${Buffer.from('x').toString('base64')}\n` };
    expect(run(wrong)).toMatchObject({ status: 64, stderr: 'unexpected path\n' });
  });

  it('answer with both tokens, and with nothing when there is none', () => {
    expect(run(blueprint.openJoining(cluster, secrets))).toMatchObject({ status: 0, stdout: 'manager=SWMTKN-of-manager\nworker=SWMTKN-of-worker\n' });
    tool('docker', 'echo "no leader" >&2; exit 1');
    expect(run(blueprint.openJoining(cluster, secrets))).toMatchObject({ status: 1, stdout: '' });
  });

  it('make both tokens worthless, label who joined, and drop the entry of an attempt that was broken off', () => {
    writeFileSync(join(root, 'nodes'), 'id1 blue-control-abc\nid0 blue-workers-abc\nid2 blue-workers-abc\nid3 blue-workers-abcd\n');
    writeFileSync(join(root, 'status-id0'), 'down\n');
    writeFileSync(join(root, 'role-id0'), 'manager\n');
    expect(run(closing([control, worker]))).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(callsOf('docker swarm join-token --rotate').map((call) => call.split(' ').at(-1))).toEqual(['manager', 'worker']);
    expect(callsOf('docker node update')).toContain('docker node update --label-add muon.zone=zon_1 --label-add muon.pool=workers --label-add team=shop id2');
    expect(callsOf('docker node update').some((call) => call.endsWith('id3'))).toBe(false);
    expect(readFileSync(join(root, 'nodes'), 'utf8')).not.toContain('id0');
    writeFileSync(join(root, 'calls'), '');
    expect(run(closing([]))).toMatchObject({ status: 0 });
    expect(callsOf('docker swarm join-token --rotate')).toHaveLength(2);
    expect(callsOf('docker node')).toEqual([]);
  });

  it('are ready when the node takes part', () => {
    expect(run(blueprint.checkReady(cluster, worker)).status).not.toBe(0);
    state('active');
    expect(run(blueprint.checkReady(cluster, worker)).status).toBe(0);
    expect(run(blueprint.checkReady(cluster, control)).status).toBe(0);
    tool('timeout', 'exit 1');
    expect(run(blueprint.checkReady(cluster, control)).status).not.toBe(0);
  });

  it('drain until nothing runs there any more, take that back, and forget, a manager’s vote first', () => {
    writeFileSync(join(root, 'nodes'), 'id1 blue-control-abc\nid2 blue-workers-abc\n');
    writeFileSync(join(root, 'tasks'), 'shop.1 is Running 5 minutes ago\n');
    expect(run(blueprint.drain(cluster, worker, { unreachable: false })).status).toBe(0);
    expect(callsOf('docker node update')).toEqual(['docker node update --availability drain id2']);
    expect(callsOf('docker node ps')).toHaveLength(2);
    expect(run(blueprint.drain(cluster, worker, { unreachable: true })).status).toBe(0);
    expect(callsOf('docker node ps')).toHaveLength(2);
    expect(run(blueprint.undrain(cluster, worker)).status).toBe(0);
    expect(calls().at(-1)).toBe('docker node update --availability active id2');
    writeFileSync(join(root, 'role-id1'), 'manager\n');
    expect(run(blueprint.remove(cluster, control)).status).toBe(0);
    expect(callsOf('docker node demote')).toEqual(['docker node demote id1']);
    expect(readFileSync(join(root, 'nodes'), 'utf8')).toBe('id2 blue-workers-abc\n');
    expect(run(blueprint.remove(cluster, control)).status).toBe(0);
  });

  it('do not take a cluster without a leader for one without the node', () => {
    tool('timeout', 'echo "no leader" >&2; exit 1');
    for (const script of [blueprint.remove(cluster, control), blueprint.drain(cluster, worker, { unreachable: true })]) {
      expect(run(script)).toMatchObject({ status: 1, stderr: 'no leader\n' });
    }
  });
});
