import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { publicKeyPin } from '../../credentials/key-pair.js';
import type { KubernetesPki } from '../../credentials/kubernetes-pki.js';
import type { BlueprintCluster, BlueprintNode, ClusterSecrets, GuestScript } from '../blueprint.js';
import { kubernetesBlueprint as blueprint } from './kubernetes-blueprint.js';

const cluster: BlueprintCluster = { id: 'cls_1', name: 'blue', release: '1.34.2', apiAddress: '10.32.0.9', externalAddresses: [], controlAddresses: ['10.32.0.2'] };
const control: BlueprintNode = { machineId: 'vm_1', name: 'blue-control-abc', role: 'CONTROL', address: '10.32.0.2', zoneId: 'zon_1', pool: null };
const worker: BlueprintNode = { ...control, machineId: 'vm_2', name: 'blue-workers-abc', role: 'WORKER', address: '10.32.0.5', pool: { name: 'workers', labels: { team: 'shop' } } };
let secrets: ClusterSecrets;
let pki: KubernetesPki;

beforeAll(async () => {
  secrets = { foundation: await blueprint.createSecrets(), joinToken: blueprint.createJoinToken() };
  pki = JSON.parse(secrets.foundation) as KubernetesPki;
});

const scripts = async (): Promise<Record<string, GuestScript>> => ({
  initialise: await blueprint.initialise(cluster, control, secrets),
  openJoining: blueprint.openJoining(cluster, secrets),
  joinControl: await blueprint.join(cluster, control, secrets),
  joinWorker: await blueprint.join(cluster, worker, secrets),
  readyControl: blueprint.checkReady(cluster, control),
  readyWorker: blueprint.checkReady(cluster, worker),
  drain: blueprint.drain(cluster, worker, { unreachable: false }),
  drainLost: blueprint.drain(cluster, worker, { unreachable: true }),
  undrain: blueprint.undrain(cluster, worker),
  removeControl: blueprint.remove(cluster, control),
  removeWorker: blueprint.remove(cluster, worker),
});

describe('the scripts of Kubernetes nodes', () => {
  it('are shell, short, the same for the same arguments, and hold no secret', async () => {
    const again = await scripts();
    const words = [String(secrets.joinToken), ...Object.values(pki).flatMap((pair) => String((pair as { privateKeyPem: string }).privateKeyPem).split('\n').slice(1, 2))];
    for (const [name, { script, timeoutSeconds }] of Object.entries(await scripts())) {
      const checked = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
      expect([name, checked.status, checked.stderr]).toEqual([name, 0, '']);
      expect(script.length).toBeLessThan(16 * 1024);
      expect(script).toBe(again[name]?.script);
      expect(timeoutSeconds).toBeGreaterThan(0);
      for (const word of words) expect(script).not.toContain(word);
    }
  });

  it('give authorities’ keys to control nodes only', async () => {
    const { joinControl, joinWorker } = await scripts();
    const decoded = (script: GuestScript | undefined): string =>
      (script?.standardInput ?? '').split('\n').map((line) => Buffer.from(line.split(' ')[2] ?? '', 'base64').toString()).join('\n');
    expect(decoded(joinControl)).toContain(pki.cluster.privateKeyPem);
    expect(decoded(joinWorker)).not.toContain('PRIVATE KEY');
    expect(decoded(joinWorker)).toContain(publicKeyPin(pki.cluster.certificatePem));
  });

  it('tell kubeadm everything in its own words', async () => {
    const config = (script: GuestScript): Record<string, unknown>[] => {
      const line = (script.standardInput ?? '').split('\n').find((each) => each.includes('kubeadm.yaml')) ?? '';
      return parseAllDocuments(Buffer.from(line.split(' ')[2] ?? '', 'base64').toString()).map((document) => document.toJS() as Record<string, unknown>);
    };
    const [init, shared, kubelet] = config(await blueprint.initialise(cluster, control, secrets));
    expect(init).toMatchObject({
      kind: 'InitConfiguration',
      bootstrapTokens: [{ token: secrets.joinToken, ttl: '1h0m0s' }],
      localAPIEndpoint: { advertiseAddress: '10.32.0.2', bindPort: 6443 },
      nodeRegistration: { name: 'blue-control-abc' },
    });
    expect(shared).toMatchObject({ kind: 'ClusterConfiguration', kubernetesVersion: 'v1.34.2', controlPlaneEndpoint: '10.32.0.9:6443', encryptionAlgorithm: 'ECDSA-P256', apiServer: { certSANs: ['10.32.0.9', 'blue'] } });
    expect(kubelet).toMatchObject({ kind: 'KubeletConfiguration' });
    const [joining] = config(await blueprint.join(cluster, worker, secrets));
    expect(joining).toMatchObject({ kind: 'JoinConfiguration', discovery: { bootstrapToken: { apiServerEndpoint: '10.32.0.9:6443', token: secrets.joinToken, caCertHashes: [publicKeyPin(pki.cluster.certificatePem)] } } });
    expect(joining).not.toHaveProperty('controlPlane');
    const registration = joining as { nodeRegistration: { kubeletExtraArgs: { name: string; value: string }[] } } | undefined;
    const labels = registration?.nodeRegistration.kubeletExtraArgs.find((each) => each.name === 'node-labels');
    expect(labels?.value).toBe('topology.kubernetes.io/zone=zon_1,node.muon/pool=workers,team=shop');
    expect(config(await blueprint.join(cluster, control, secrets))[0]).toMatchObject({ controlPlane: { localAPIEndpoint: { advertiseAddress: '10.32.0.2' } } });
  });
});

it('user data are cloud-init, open no door, and hold no secret', () => {
  const text = blueprint.userData({ name: 'blue-control-abc', role: 'CONTROL', release: '1.34.2' });
  expect(text.startsWith('#cloud-config\n')).toBe(true);
  expect(parse(text)).toMatchObject({ hostname: 'blue-control-abc', ssh_pwauth: false, disable_root: true });
  expect(text).not.toMatch(/ssh_authorized_keys|password|token/);
});

describe('run for real, with stand-ins for the tools', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'muon-node-'));
    mkdirSync(join(root, 'bin'));
    mkdirSync(join(root, 'etc/kubernetes/manifests'), { recursive: true });
    // Each writes down how it was called and what it could read; `kubectl get node` answers from a file.
    tool('kubeadm', `case "$1" in init | join) cp "$3" ${root}/config-seen; ls -R ${root}/etc/kubernetes/pki > ${root}/pki-seen 2>/dev/null;; esac
if [ -e ${root}/kubeadm-fails ]; then echo "kubeadm says no" >&2; exit 1; fi`);
    tool('kubectl', `case "$*" in *"get node"*) cat ${root}/node-answer 2>/dev/null; exit 0;; *"create clusterrolebinding"*) echo binding;; esac`);
    tool('crictl', `case "$1" in ps) echo etcd-1;; exec) case "$*" in *"member list"*) printf 'a1, started, blue-control-abc, x\\nb2, started, other, y\\n';; esac;; esac`);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function tool(name: string, body: string): void {
    const path = join(root, 'bin', name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> ${root}/calls\n${body}\n`);
    chmodSync(path, 0o755);
  }
  function run({ script, standardInput }: GuestScript): { status: number | null; stdout: string; stderr: string } {
    const here = (text: string): string => text.replaceAll('/etc/kubernetes', `${root}/etc/kubernetes`).replaceAll('/run/muon-kubeadm', `${root}/run`);
    const lines = (standardInput ?? '').replaceAll(/^\/etc\/kubernetes/gm, `${root}/etc/kubernetes`).replaceAll(/^\/run\/muon-kubeadm/gm, `${root}/run`);
    const { status, stdout, stderr } = spawnSync('sh', ['-c', here(script)], { input: lines, encoding: 'utf8', env: { PATH: `${root}/bin:${process.env.PATH}` } });
    return { status, stdout, stderr };
  }
  const calls = (): string[] => (existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : []);

  it('initialise a control node: its authorities in place, kubeadm called, roles bound, nothing left behind', async () => {
    const result = run(await blueprint.initialise(cluster, control, secrets));
    expect(result).toMatchObject({ status: 0, stdout: '' });
    const pkiFolder = join(root, 'etc/kubernetes/pki');
    expect(readdirSync(pkiFolder).sort()).toEqual(['ca.crt', 'ca.key', 'etcd', 'front-proxy-ca.crt', 'front-proxy-ca.key', 'sa.key', 'sa.pub']);
    expect(readFileSync(join(pkiFolder, 'ca.key'), 'utf8')).toBe(pki.cluster.privateKeyPem);
    expect((statSync(join(pkiFolder, 'ca.key')).mode & 0o777).toString(8)).toBe('600');
    expect(readFileSync(join(root, 'config-seen'), 'utf8')).toContain(secrets.joinToken);
    expect(existsSync(join(root, 'run'))).toBe(false);
    expect(result.stderr + calls().join('\n')).not.toContain(secrets.joinToken);
    expect(calls().filter((call) => call.startsWith('kubectl create clusterrolebinding'))).toHaveLength(3);
    // Run again, it sees that it is done.
    writeFileSync(join(root, 'calls'), '');
    expect(run(await blueprint.initialise(cluster, control, secrets)).status).toBe(0);
    expect(calls().some((call) => call.startsWith('kubeadm'))).toBe(false);
  });

  it('join, or say so by their exit code and leave no secret behind', async () => {
    writeFileSync(join(root, 'kubeadm-fails'), '');
    const failed = run(await blueprint.join(cluster, worker, secrets));
    expect(failed).toMatchObject({ status: 1, stderr: 'kubeadm says no\n' });
    expect(existsSync(join(root, 'run'))).toBe(false);
    rmSync(join(root, 'kubeadm-fails'));
    // What the broken attempt left is taken back first.
    writeFileSync(join(root, 'etc/kubernetes/kubelet.conf'), '');
    expect(run(await blueprint.join(cluster, worker, secrets)).status).toBe(0);
    expect(calls().map((call) => call.split(' ').slice(0, 2).join(' '))).toEqual(['kubeadm join', 'kubeadm reset', 'kubeadm join']);
    expect(run(await blueprint.join(cluster, worker, secrets)).status).toBe(0);
    expect(calls()).toHaveLength(3);
  });

  it('refuse files that are to go anywhere else', async () => {
    const wrong = { ...(await blueprint.join(cluster, worker, secrets)), standardInput: `/root/.profile 0600 ${Buffer.from('x').toString('base64')}\n` };
    expect(run(wrong)).toMatchObject({ status: 64, stderr: 'unexpected path\n' });
  });

  it('are ready when the node says so', () => {
    writeFileSync(join(root, 'node-answer'), 'True');
    expect(run(blueprint.checkReady(cluster, worker)).status).toBe(0);
    writeFileSync(join(root, 'node-answer'), 'False');
    expect(run(blueprint.checkReady(cluster, worker)).status).not.toBe(0);
    expect(run(blueprint.checkReady(cluster, control)).status).not.toBe(0);
  });

  it('drain what is known, take the vote of a control node, and forget', () => {
    expect(run(blueprint.drain(cluster, worker, { unreachable: false })).status).toBe(0);
    expect(calls().some((call) => call.startsWith('kubectl drain'))).toBe(false);
    writeFileSync(join(root, 'node-answer'), 'node/blue-workers-abc');
    expect(run(blueprint.drain(cluster, worker, { unreachable: true })).status).toBe(0);
    expect(calls().find((call) => call.startsWith('kubectl drain'))).toContain('--disable-eviction');
    expect(run(blueprint.remove(cluster, control)).status).toBe(0);
    expect(calls().filter((call) => call.includes('member remove'))).toEqual([expect.stringContaining('member remove a1')]);
    expect(calls().at(-1)).toContain('kubectl delete node blue-control-abc');
    expect(run(blueprint.openJoining(cluster, secrets))).toMatchObject({ status: 0, stdout: '' });
    expect(existsSync(join(root, 'run'))).toBe(false);
  });
});
