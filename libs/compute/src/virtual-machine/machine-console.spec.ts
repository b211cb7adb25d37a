import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statement } from '#database';
import { Action } from '#identity';
import { accessWith, computeBench, findCanary, systemAccess, type BenchProject, type ComputeBench } from '#testing';
import { MachineConsoleService } from '../index.js';

const audits = statement<{ outcome: string; input: unknown }, [name: string]>(
  'spec.console_audits',
  'SELECT outcome, input FROM audit_entry WHERE command = $1 ORDER BY id',
);
const silence = statement<never, [id: string]>(
  'spec.console_silence',
  `UPDATE virtual_machine SET observed_power = 'UNKNOWN', observed_reason = 'Its host is silent.' WHERE id = $1`,
);
const giveToCluster = statement<never, [id: string, clusterId: string]>('spec.console_node', 'UPDATE virtual_machine SET owner_id = $2 WHERE id = $1');

describe('the console of a machine', () => {
  let bench: ComputeBench;
  let consoles: MachineConsoleService;
  let project: BenchProject;
  const access = systemAccess();
  const as = (role: 'OWNER' | 'CONTRIBUTOR' | 'VIEWER', tenantId = bench.tenant.id) => accessWith([{ role, tenantId, projectId: tenantId === bench.tenant.id ? project.projectId : null }]);

  beforeAll(async () => {
    bench = await computeBench();
    consoles = new MachineConsoleService(bench.room.database, bench.center.commands, bench.center.drivers);
    project = await bench.freshProject();
  });
  afterEach(() => bench.center.world.clearFaults());
  afterAll(() => bench.close());

  it('is shown from its end, as much as was asked for', async () => {
    const id = await bench.running(project, 'talks');
    expect(await consoles.read(as('CONTRIBUTOR'), { id })).toEqual({
      virtualMachineId: id,
      output: '[simulated] boot 1 of talks from debian-12\ntalks login:',
      isTruncated: false,
    });
    expect(await consoles.read(access, { id, lines: 1 })).toMatchObject({ output: 'talks login:', isTruncated: true });
    await expect(consoles.read(access, { id, lines: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'input.lines' });
  });

  it('is for those who may change the machine, and of a node its cluster', async () => {
    const id = await bench.running(project, 'guarded');
    await expect(consoles.read(as('VIEWER'), { id })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(consoles.read(as('OWNER', 'ten_stranger'), { id })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(consoles.read(access, { id: 'vm_nobody' })).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'input.id' });
    await bench.room.database.transaction((transaction) => transaction.execute(giveToCluster, id, 'clu_of_the_project'));
    expect((await consoles.read(as('CONTRIBUTOR'), { id })).output).toContain('guarded login:');
    const permissions = { 'virtual machine': [Action.READ, Action.MODIFY], cluster: [Action.READ] };
    const custom = accessWith([{ role: null, permissions, tenantId: bench.tenant.id, projectId: project.projectId }]);
    await expect(consoles.read(custom, { id })).rejects.toMatchObject({ code: 'FORBIDDEN', data: { kind: 'cluster' } });
  });

  it('is audited, and kept nowhere: a repeat by its idempotency key shows nothing', async () => {
    const id = await bench.running(project, 'canary-of-the-console');
    const before = (await bench.room.database.rows(audits, 'readVirtualMachineConsole')).length;
    const first = await consoles.read(access, { id }, { idempotencyKey: 'once' });
    expect(first.output).toContain('canary-of-the-console login:');
    expect(await consoles.read(access, { id }, { idempotencyKey: 'once' })).toMatchObject({ virtualMachineId: id, output: null });
    const entries = (await bench.room.database.rows(audits, 'readVirtualMachineConsole')).slice(before);
    expect(entries[0]).toMatchObject({ input: { id, lines: 200 } });
    expect(await findCanary('canary-of-the-console login:', { databaseUrls: [bench.room.url], log: '' })).toEqual([]);
  });

  it('is not shown while its host is away, and the caller hears why', async () => {
    const id = await bench.running(project, 'cut-off');
    await bench.center.world.addFault({ kind: 'UNAVAILABLE', method: 'readConsole' });
    await expect(consoles.read(access, { id })).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await bench.room.database.transaction((transaction) => transaction.execute(silence, id));
    await expect(consoles.read(access, { id })).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('Its host is silent.') });
  });
});
