import { typeidUnboxed } from 'typeid-js';
import { afterEach, expect, it } from 'vitest';
import type { Bench } from './bench.js';

/** What a packet meets is for the specs of a driver; this is about the parts. */
export function firewallConformance(bench: Bench): void {
  afterEach(async () => bench.clear());

  it('ensures a security group, marked with the installation, and repeats; an older revision that comes late changes nothing', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const { network: driver } = bench.driver;
    const group = await bench.securityGroup();
    await bench.finish(async (call) => driver.ensureSecurityGroup(call, group));
    const { securityGroupId: id } = group;
    await bench.showsPart(id, 1);
    expect(await bench.part(id)).toEqual({ kind: 'SECURITY_GROUP', id, installationId: bench.ownership.installationId, revision: 1, isIntact: true });
    await bench.finish(async (call) => driver.ensureSecurityGroup(call, { ...group, revision: 3, rules: [] }));
    await bench.finish(async (call) => driver.ensureSecurityGroup(call, group));
    await bench.showsPart(id, 3);
  });

  it('a rule may name a group that is not there, and groups may name each other', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const [one, other] = [typeidUnboxed('sgp'), typeidUnboxed('sgp')];
    const from = (id: string) => [{ direction: 'INGRESS', protocol: 'ANY', ports: null, remoteCidr: null, remoteSecurityGroupId: id } as const];
    await bench.securityGroup({ securityGroupId: one, rules: from(other) });
    await bench.securityGroup({ securityGroupId: other, rules: from(one) });
    await bench.showsPart(other, 1);
  });

  it('a port joins and leaves groups by newer revisions; a group with ports is not removed', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const { network: driver } = bench.driver;
    const network = await bench.network();
    const { securityGroupId: id } = await bench.securityGroup();
    const port = await bench.port(network, { securityGroupIds: [id] });
    const remove = async () => bench.finish(async (call) => driver.removeSecurityGroup(call, id));
    await bench.refused(remove(), 'INVALID_STATE');
    await bench.finish(async (call) => driver.ensurePort(call, { ...port, revision: 2, securityGroupIds: [] }));
    for (let times = 0; times < 2; times += 1) await remove();
    await bench.showsNoPart(id);
  });

  it('a port in a group that is not there is NOT_FOUND', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const port = bench.portSpecification(await bench.network(), { securityGroupIds: [typeidUnboxed('sgp')] });
    bench.willRemovePort(port.portId);
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensurePort(call, port)), 'NOT_FOUND');
  });

  it('another installation’s group is not touched', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const group = await bench.securityGroup();
    const foreign = { ...group, revision: 2, ownership: { ...group.ownership, installationId: typeidUnboxed('installation') } };
    await bench.refused(bench.finish(async (call) => bench.driver.network.ensureSecurityGroup(call, foreign)), 'BACKEND_FAILED');
    await bench.showsPart(group.securityGroupId, 1);
  });

  it('ensures and removes a firewall, and repeats; a group and the firewall are realised on the hosts of their ports', async (context) => {
    bench.needs(context, 'network', 'firewall');
    const { network: driver } = bench.driver;
    const firewall = bench.firewallSpecification();
    const { firewallId: id } = firewall;
    bench.willRemove(async (call) => driver.removeFirewall(call, id));
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.ensureFirewall(call, firewall));
    await bench.showsPart(id, 1);
    expect(await bench.part(id)).toMatchObject({ kind: 'FIREWALL', installationId: bench.ownership.installationId });
    const { securityGroupId } = await bench.securityGroup();
    await bench.port(await bench.network(), { securityGroupIds: [securityGroupId] });
    for (const partId of [id, securityGroupId]) {
      expect(await bench.finish(async (call) => driver.realised(call, partId))).toEqual({ pendingHostNames: [] });
    }
    await bench.finish(async (call) => driver.ensureFirewall(call, { ...firewall, revision: 2, policies: [] }));
    await bench.showsPart(id, 2);
    for (let times = 0; times < 2; times += 1) await bench.finish(async (call) => driver.removeFirewall(call, id));
    await bench.showsNoPart(id);
  });
}
