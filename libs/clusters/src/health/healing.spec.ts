import { describe, expect, it } from 'vitest';
import { foldConditions, nodeConditions, type ConditionNow } from './conditions.js';
import { decideHealing, DEFAULT_HEALING_LIMITS, sickLimit, type HealingFacts, type HealingNode } from './healing.js';

const now = new Date('2026-11-23T12:00:00Z');
const ago = (minutes: number): Date => new Date(now.getTime() - minutes * 60_000);
let made = 0;

function node(role: 'CONTROL' | 'WORKER', more: Partial<HealingNode['row']> & { host?: HealingNode['hostState']; on?: string } = {}): HealingNode {
  made += 1;
  const { host = 'ACTIVE', on = `host-${made}`, ...row } = more;
  const pool = role === 'WORKER' ? 'pool' : null;
  const base = { id: `n${made}`, name: `node-${made}`, role, phase: 'JOINED', pool_id: pool, health: 'READY', health_reason: 'NODE_READY', health_since: ago(60) } as const;
  return { row: { ...base, ...row }, hostState: host, host: { id: on } };
}
const onHostOfItsOwn = ({ row }: HealingNode) => ({ ...row, hostId: `host-of-${row.id}` });
const several = (count: number, make: () => HealingNode): HealingNode[] => Array.from({ length: count }, make);
const lost = (role: 'CONTROL' | 'WORKER', since = ago(1), on?: string): HealingNode =>
  node(role, { health: 'LOST', health_reason: 'HOST_FENCED', health_since: since, host: 'FENCED', ...(on === undefined ? {} : { on }) });

function facts(nodes: readonly HealingNode[], more: Partial<HealingFacts> = {}): HealingFacts {
  const workers = nodes.filter((each) => each.row.role === 'WORKER').length;
  const controlCount = nodes.filter((each) => each.row.role === 'CONTROL').length;
  return { controlCount, pools: [{ id: 'pool', name: 'workers', count: workers }], nodes, failures: 0, notBefore: null, lastError: null, holder: null, at: now, ...more };
}
const decide = (given: HealingFacts) => decideHealing(given, DEFAULT_HEALING_LIMITS);

describe('healing', () => {
  it('has nothing to do while all is well', () => {
    expect(decide(facts([...several(3, () => node('CONTROL')), ...several(2, () => node('WORKER'))]))).toEqual({
      target: null,
      condition: { type: 'HEALABLE', status: 'TRUE', reason: 'NOTHING_TO_HEAL', message: 'No node needs to be replaced.' },
    });
  });

  it('replaces control nodes before workers, and the longest lost first', () => {
    const [worker, control, older] = [lost('WORKER', ago(9)), lost('CONTROL', ago(3)), lost('WORKER', ago(10))];
    const others = [...several(2, () => node('CONTROL')), ...several(6, () => node('WORKER'))];
    expect(decide(facts([worker, control, older, ...others])).target).toMatchObject({ type: 'NODE', nodeId: control.row.id });
    expect(decide(facts([worker, older, node('CONTROL'), ...others])).target).toMatchObject({ nodeId: older.row.id });
  });

  it('makes good what an earlier healing deleted and could not replace', () => {
    const nodes = [...several(3, () => node('CONTROL')), node('WORKER')];
    const short = facts(nodes, { controlCount: 3, pools: [{ id: 'pool', name: 'workers', count: 2 }] });
    expect(decide(short).target).toEqual({ type: 'MISSING', role: 'WORKER', poolId: 'pool', name: 'a node of workers' });
    expect(decide(facts(nodes.slice(1), { controlCount: 3 })).target).toMatchObject({ type: 'MISSING', role: 'CONTROL' });
  });

  it('never replaces what nobody can prove to be off', () => {
    const silent = node('WORKER', { health: 'UNREACHABLE', health_reason: 'HOST_SILENT', host: 'DOWN' });
    const { target, condition } = decide(facts([...several(3, () => node('CONTROL')), silent, node('WORKER')]));
    expect(target).toBeNull();
    expect(condition).toMatchObject({ status: 'FALSE', reason: 'HOST_NOT_FENCED' });
  });

  it('waits with a node that answers and is not ready, and leaves it alone while its host is not known', () => {
    const others = [...several(3, () => node('CONTROL')), ...several(3, () => node('WORKER'))];
    const sick = (minutes: number, host: HealingNode['hostState'] = 'ACTIVE') =>
      node('WORKER', { health: 'NOT_READY', health_reason: 'NODE_NOT_READY', health_since: ago(minutes), host });
    expect(decide(facts([...others, sick(9)])).target).toBeNull();
    expect(decide(facts([...others, sick(10)])).target).toMatchObject({ type: 'NODE' });
    expect(decide(facts([...others, sick(60, 'UNKNOWN')])).target).toBeNull();
  });

  it('stops when too many are sick at once, or when too few control nodes could agree', () => {
    const workers = (count: number, sick: number) => [...several(count - sick, () => node('WORKER')), ...several(sick, () => lost('WORKER'))];
    const controls = several(3, () => node('CONTROL'));
    expect(sickLimit(12)).toBe(4);
    expect(decide(facts([...controls, ...workers(9, 4)])).target).not.toBeNull();
    expect(decide(facts([...controls, ...workers(9, 5)])).condition).toMatchObject({ status: 'FALSE', reason: 'TOO_MANY_SICK' });
    expect(decide(facts([node('CONTROL'), lost('CONTROL'), lost('CONTROL'), ...workers(9, 0)])).condition.reason).toBe('QUORUM_LOST');
    expect(decide(facts([lost('CONTROL'), node('WORKER')])).condition.reason).toBe('QUORUM_LOST');
    // A host with a control node and a worker of a small cluster.
    expect(decide(facts([node('CONTROL'), node('CONTROL'), lost('CONTROL'), lost('WORKER'), node('WORKER')])).target).toMatchObject({ role: 'CONTROL' });
  });

  it('counts a host that is proven to be off once, with all that was on it, and everything that has no such reason by itself', () => {
    const controls = several(3, () => node('CONTROL'));
    const well = several(2, () => node('WORKER'));
    const gone = several(3, () => lost('WORKER', ago(1), 'dead'));
    expect(sickLimit(8)).toBe(2);
    expect(decide(facts([...controls, ...well, ...gone])).target).toMatchObject({ type: 'NODE', nodeId: gone[0]?.row.id });
    // Nobody knows of a silent host that it is the host.
    const silent = several(3, () => node('WORKER', { health: 'UNREACHABLE', health_reason: 'HOST_SILENT', host: 'DOWN', on: 'silent' }));
    expect(decide(facts([...controls, ...silent, lost('WORKER'), node('WORKER')])).condition.reason).toBe('TOO_MANY_SICK');
    // The host is back, and they are not: it is no reason any more.
    const back = gone.map((each) => ({ ...each, hostState: 'ACTIVE' as const }));
    expect(decide(facts([...controls, ...well, ...back])).condition.reason).toBe('TOO_MANY_SICK');
    const vanished = several(3, () => node('WORKER', { health: 'LOST', health_reason: 'MACHINE_GONE', on: 'busy' }));
    expect(decide(facts([...controls, ...well, ...vanished])).condition.reason).toBe('TOO_MANY_SICK');
    // So many hosts do not die by chance.
    const everywhere = ['a', 'b', 'c', 'd'].flatMap((on) => several(2, () => lost('WORKER', ago(1), on)));
    expect(decide(facts([...controls, ...everywhere])).condition).toEqual({
      type: 'HEALABLE',
      status: 'FALSE',
      reason: 'TOO_MANY_SICK',
      message:
        '8 of 11 nodes are lost or do not answer, by 4 separate faults (a host that is proven to be off counts once, with all its nodes). More than 3 may have a cause elsewhere, so none is replaced by itself.',
    });
  });

  it('makes what is missing however much that is: it takes nothing away', () => {
    const nodes = [...several(3, () => node('CONTROL')), node('WORKER')];
    expect(decide(facts(nodes, { pools: [{ id: 'pool', name: 'workers', count: 9 }] })).target).toMatchObject({ type: 'MISSING' });
  });

  it('leaves alone what an operation moves, takes up what was left of one that was given up, and replaces none that is too many', () => {
    const holder = { operationId: 'op_1', kind: 'clusters.node_pool.grow', state: 'RUNNING', heals: false } as const;
    const well = [...several(3, () => node('CONTROL')), node('WORKER')];
    for (const phase of ['JOINING', 'DRAINING', 'REMOVING'] as const) {
      const left = node('WORKER', { phase, health: 'UNKNOWN' });
      expect(decide(facts([...well, left], { holder }))).toMatchObject({ target: null, condition: { reason: 'NOTHING_TO_HEAL' } });
      expect(decide(facts([...well, left])).target).toMatchObject({ type: 'NODE', nodeId: left.row.id });
      expect(decide(facts([...well, left], { pools: [{ id: 'pool', name: 'workers', count: 1 }] })).target).toBeNull();
      const silent = { ...left, hostState: 'DOWN' as const };
      expect(decide(facts([...well, silent]))).toMatchObject({ target: null, condition: { reason: 'HOST_NOT_FENCED' } });
    }
    const control = node('CONTROL', { phase: 'REMOVING' });
    expect(decide(facts([...well.slice(1), control])).target).toMatchObject({ role: 'CONTROL', nodeId: control.row.id });
  });

  it('says what it waits for, and by whom a node is being replaced', () => {
    const nodes = [...several(3, () => node('CONTROL')), lost('WORKER')];
    const holder = { operationId: 'op_1', kind: 'clusters.node_pool.grow', state: 'RUNNING', heals: false } as const;
    const name = nodes[3]?.row.name;
    expect(decide(facts(nodes, { holder }))).toEqual({
      target: null,
      condition: {
        type: 'HEALABLE',
        status: 'FALSE',
        reason: 'OPERATION_IN_PROGRESS',
        message: `"${name}" is not replaced before operation "op_1" (clusters.node_pool.grow) has ended.`,
      },
    });
    const healing = { ...holder, kind: 'clusters.cluster.heal', heals: true };
    expect(decide(facts(nodes, { holder: healing })).condition).toMatchObject({ status: 'TRUE', reason: 'HEALING', message: expect.stringContaining('op_1') });
    expect(decide(facts(nodes.slice(0, 3), { holder: healing })).condition).toMatchObject({ status: 'TRUE', reason: 'HEALING' });
    const stuck = decide(facts(nodes.slice(0, 3), { holder: { ...healing, state: 'STUCK' } })).condition;
    expect(stuck).toMatchObject({ status: 'FALSE', reason: 'OPERATION_IN_PROGRESS', message: expect.stringContaining('an operator must retry or abandon it') });
  });

  it('waits longer after each failure, and gives up after some', () => {
    const nodes = [...several(3, () => node('CONTROL')), lost('WORKER')];
    const later = facts(nodes, { failures: 1, notBefore: new Date(now.getTime() + 1) });
    expect(decide(later)).toMatchObject({ target: null, condition: { reason: 'HEALING_FAILED' } });
    expect(decide({ ...later, notBefore: now }).target).not.toBeNull();
    const error = { code: 'BACKEND_FAILED', message: 'No room.', fault: 'OPERATOR', retryable: false } as const;
    const over = decide(facts(nodes, { failures: DEFAULT_HEALING_LIMITS.maxFailures, lastError: error }));
    expect(over.condition.message).toContain('No room.');
    expect(over.target).toBeNull();
  });
});

describe('conditions', () => {
  const statuses = (list: readonly ConditionNow[]) => Object.fromEntries(list.map((each) => [each.type, `${each.status} ${each.reason}`]));
  const of = (nodes: readonly HealingNode[], controls: number, workers: number, isChanging = true) =>
    statuses(nodeConditions(nodes.map(onHostOfItsOwn), { controls, workers, isChanging }));

  it('say what the nodes are', () => {
    expect(of([...several(3, () => node('CONTROL')), node('WORKER')], 3, 1)).toEqual({
      READY: 'TRUE ALL_READY',
      API_AVAILABLE: 'TRUE QUORUM_READY',
      CONTROL_NODES_READY: 'TRUE ALL_READY',
      WORKERS_READY: 'TRUE ALL_READY',
      FAULT_TOLERANT: 'TRUE SPARE_CONTROL_NODES',
    });
    expect(of([node('CONTROL'), node('CONTROL'), lost('CONTROL'), node('WORKER', { health: 'NOT_READY' })], 3, 1)).toEqual({
      READY: 'FALSE NODES_LOST',
      API_AVAILABLE: 'TRUE QUORUM_READY',
      CONTROL_NODES_READY: 'FALSE NODES_LOST',
      WORKERS_READY: 'FALSE NODES_NOT_READY',
      FAULT_TOLERANT: 'FALSE NO_SPARE_CONTROL_NODE',
    });
    expect(of([node('CONTROL'), lost('CONTROL'), node('CONTROL', { health: 'UNREACHABLE' })], 3, 0)).toMatchObject({
      API_AVAILABLE: 'UNKNOWN QUORUM_UNKNOWN',
      WORKERS_READY: 'TRUE NO_NODES_WANTED',
    });
    expect(of([lost('CONTROL')], 1, 1)).toEqual({
      READY: 'FALSE NODES_LOST',
      API_AVAILABLE: 'FALSE QUORUM_LOST',
      CONTROL_NODES_READY: 'FALSE NODES_LOST',
      WORKERS_READY: 'FALSE NODES_MISSING',
      FAULT_TOLERANT: 'FALSE SINGLE_CONTROL_NODE',
    });
  });

  it('count a host with its control nodes as one that may be lost', () => {
    const on = (hosts: readonly string[]) => {
      const controls = hosts.map((hostId, index) => ({ ...node('CONTROL', { name: `control-${index}` }).row, hostId }));
      return nodeConditions(controls, { controls: hosts.length, workers: 0, isChanging: false }).find((each) => each.type === 'FAULT_TOLERANT');
    };
    expect(on(['a', 'b', 'b'])).toMatchObject({
      status: 'FALSE',
      reason: 'CONTROL_NODES_SHARE_HOST',
      message: '"control-1" and "control-2" are on one host, whose loss would stop the API. Replace one of them when another host has room.',
    });
    expect(on(['a', 'b', 'c', 'c', 'd'])).toMatchObject({ status: 'TRUE', reason: 'SPARE_CONTROL_NODES', message: expect.stringContaining('"control-2" and "control-3" are on one host.') });
    expect(on(['a', 'b', 'c', 'c', 'c'])).toMatchObject({ status: 'FALSE', reason: 'CONTROL_NODES_SHARE_HOST' });
  });

  it('do not call a cluster degraded that grows or shrinks, but one that is being healed', () => {
    const growing = [node('CONTROL'), node('WORKER'), node('WORKER', { phase: 'JOINING', health: 'UNKNOWN' })];
    expect(of(growing, 1, 2)).toMatchObject({ READY: 'TRUE ALL_READY', WORKERS_READY: 'TRUE ALL_READY' });
    expect(of(growing, 1, 3).WORKERS_READY).toBe('FALSE NODES_MISSING');
    expect(of([node('CONTROL'), node('WORKER'), node('WORKER', { phase: 'DRAINING' })], 1, 1).READY).toBe('TRUE ALL_READY');
    const healing = [node('CONTROL'), node('WORKER'), node('WORKER', { phase: 'REMOVING', health: 'LOST' }), node('WORKER', { phase: 'JOINING' })];
    expect(of(healing, 1, 2)).toMatchObject({ READY: 'FALSE NODES_LOST', API_AVAILABLE: 'TRUE QUORUM_READY' });
  });

  it('do not count what is left of an operation that was given up', () => {
    const left = [node('CONTROL'), node('WORKER'), node('WORKER', { phase: 'JOINING', health: 'UNKNOWN' })];
    expect(of(left, 1, 2, false)).toMatchObject({ READY: 'FALSE NODES_MISSING', WORKERS_READY: 'FALSE NODES_MISSING' });
    expect(of(left, 1, 1, false).READY).toBe('TRUE ALL_READY');
    expect(of([node('CONTROL'), node('WORKER'), node('WORKER', { phase: 'REMOVING', health: 'LOST' })], 1, 1, false).READY).toBe('TRUE ALL_READY');
  });

  it('keep the time since when they hold for the same reason', () => {
    const before = foldConditions([], nodeConditions([onHostOfItsOwn(node('CONTROL'))], { controls: 1, workers: 0, isChanging: false }), ago(5));
    const after = foldConditions(before, nodeConditions([onHostOfItsOwn(lost('CONTROL'))], { controls: 1, workers: 0, isChanging: false }), now);
    const since = Object.fromEntries(after.map((each) => [each.type, each.since]));
    expect(since).toMatchObject({ READY: now.toISOString(), WORKERS_READY: ago(5).toISOString(), FAULT_TOLERANT: ago(5).toISOString() });
  });
});
