import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../support/lab.js';
import { LabSystem, type LabMachine, type LabTenant } from '../support/lab-system.js';
import type { ApiClient } from '../support/client.js';

/** Security groups and policies as users and operators ask for them, on real hosts and a real network. */

const PING = { direction: 'INGRESS', protocol: 'ICMP' };

let muon: LabSystem;
let tenant: LabTenant;
let groupId: string;
let client: LabMachine;
let server: LabMachine;

/** Asks for a change, waits for its end. @returns the thing's id */
async function change(api: ApiClient, field: string, input: Record<string, unknown>, thing: string): Promise<string> {
  const type = `${field[0]?.toUpperCase()}${field.slice(1)}Input`;
  const answer = await api.request<Record<string, Record<string, { id: string } | null>>>(
    `mutation ($input: ${type}!) { ${field}(input: $input) { ${thing} { id } operation { id } } }`,
    { input },
  );
  const operation = answer[field]?.['operation'];
  if (operation != null) await muon.ended(api, operation.id);
  return answer[field]?.[thing]?.id ?? '';
}

beforeAll(async () => {
  muon = await LabSystem.start({ workers: 1 });
  tenant = await muon.onboard('guarded');
  groupId = await change(tenant.api, 'createSecurityGroup', { projectId: tenant.projectId, name: 'servers', rules: [] }, 'securityGroup');
  const networkId = await muon.network(tenant, 'net');
  [client, server] = await Promise.all([
    muon.machine(tenant, networkId, 'client'),
    muon.machine(tenant, networkId, 'server', { securityGroupIds: [groupId] }),
  ]);
}, 240_000);

afterAll(async () => {
  await muon.close();
  // An installation that once had a policy keeps the mark of its firewall, without rules and ports.
  const lab = await Lab.find();
  const marks = await lab.northbound('--bare', '--columns=name', 'find', 'Port_Group', `external_ids:muon\\:installation=${muon.installation}`);
  for (const name of marks.split('\n')) if (name !== '') await lab.northbound('pg-del', name);
});

const answers = async (): Promise<boolean> => muon.reaches(client.id, server.address);
async function opened(): Promise<void> {
  await until('The server answering', 30_000, async () => ((await answers()) ? true : undefined));
}

test('a machine in a group that allows nothing has its address and answers nobody, until a rule opens it and another closes it', async () => {
  await until('The address of the server', 30_000, async () => {
    const { stdout } = await muon.inGuest(server.id, 'ip', 'addr', 'show', 'eth0');
    return stdout.includes(`inet ${server.address}/`) ? true : undefined;
  });
  expect(await answers()).toBe(false);
  await change(tenant.api, 'updateSecurityGroup', { id: groupId, rules: [PING] }, 'securityGroup');
  await opened();
  await change(tenant.api, 'updateSecurityGroup', { id: groupId, rules: [] }, 'securityGroup');
  expect(await answers()).toBe(false);
});

test('what operators deny is closed though the group allows it, and open again when they say no more', async () => {
  await change(tenant.api, 'updateSecurityGroup', { id: groupId, rules: [PING] }, 'securityGroup');
  await opened();
  const policy = { name: 'no-ping', scopeId: tenant.tenantId, rules: [{ action: 'DENY', ...PING }] };
  const id = await change(muon.owner, 'createFirewallPolicy', policy, 'firewallPolicy');
  expect(await answers()).toBe(false);
  await change(muon.owner, 'deleteFirewallPolicy', { id }, 'firewallPolicy');
  await opened();
});
