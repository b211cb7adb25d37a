import { expect, it } from 'vitest';
import { domainOf, GroupState } from './affinity.js';
import type { HostRoom } from './candidates.js';
import { machineClasses } from './demand.js';
import type { PlacementGroup, PlacementMachine } from './request.js';
import { SetSearch } from './search.js';

/** A sequence of numbers from 0 to 1 that a seed decides (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface Case {
  hosts: HostRoom[];
  machines: PlacementMachine[];
  groups: PlacementGroup[];
}

function drawCase(random: () => number): Case {
  const upTo = (limit: number): number => Math.floor(random() * limit);
  const hosts = Array.from({ length: 2 + upTo(4) }, (_, index): HostRoom => {
    const zoneId = `z${index % 2}`;
    return {
      hostId: `h${index}`,
      hostName: `h${index}`,
      backendId: 'b',
      zoneId,
      rackId: `${zoneId}-r${upTo(2)}`,
      rackDomain: `${zoneId}-r${index % 3}`,
      cpuLimit: 2 + upTo(6),
      memoryLimitMib: 100,
      cpuClaimed: 0,
      memoryClaimedMib: upTo(40),
      pools: [],
    };
  });
  const scopes = ['HOST', 'RACK', 'ZONE'] as const;
  const groups = Array.from({ length: upTo(3) }, (_, index): PlacementGroup => ({
    id: `g${index}`,
    policy: random() < 0.5 ? 'AFFINITY' : 'ANTI_AFFINITY',
    strength: 'REQUIRE',
    scope: scopes[upTo(3)] ?? 'HOST',
    existingHostIds: [],
  }));
  const kinds = Array.from({ length: 1 + upTo(3) }, () => ({
    cpu: 1 + upTo(4),
    memoryMib: 10 + upTo(40),
    diskGib: 0,
    groupIds: groups.filter(() => random() < 0.5).map((group) => group.id),
  }));
  const machines = Array.from({ length: 1 + upTo(5) }, (_, index) => ({ resourceId: `m${index}`, ...(kinds[upTo(kinds.length)] as (typeof kinds)[number]) }));
  return { hosts, machines, groups };
}

/** Whether this choice of hosts keeps every rule; written without a thought for speed. */
function isValid({ hosts, machines, groups }: Case, chosen: readonly HostRoom[]): boolean {
  for (const host of hosts) {
    const here = machines.filter((_, index) => chosen[index] === host);
    if (host.cpuClaimed + here.reduce((sum, each) => sum + each.cpu, 0) > host.cpuLimit) return false;
    if (host.memoryClaimedMib + here.reduce((sum, each) => sum + each.memoryMib, 0) > host.memoryLimitMib) return false;
  }
  return groups.every((group) => {
    const domains = machines.flatMap((machine, index) => (machine.groupIds?.includes(group.id) === true ? [domainOf(group.scope, chosen[index] as HostRoom)] : []));
    const different = new Set(domains).size;
    return group.policy === 'AFFINITY' ? different <= 1 : different === domains.length;
  });
}

function hasSolution(drawn: Case): boolean {
  const { hosts, machines } = drawn;
  const total = hosts.length ** machines.length;
  for (let number = 0; number < total; number += 1) {
    const chosen = machines.map((_, index) => hosts[Math.floor(number / hosts.length ** index) % hosts.length] as HostRoom);
    if (isValid(drawn, chosen)) return true;
  }
  return false;
}

it('finds a place for every set that has one, and none that breaks a rule', () => {
  const outcomes = { solved: 0, unsolvable: 0, missed: [] as number[] };
  for (let seed = 1; seed <= 1500; seed += 1) {
    const drawn = drawCase(randomOf(seed));
    const before = JSON.stringify(drawn.hosts);
    const classes = machineClasses({ zoneIds: ['z0', 'z1'], machines: drawn.machines, groups: drawn.groups });
    const states = new Map(drawn.groups.map((group) => [group, new GroupState(group)]));
    const candidates = new Map(classes.map((each) => [each, drawn.hosts]));
    const { choices } = new SetSearch(classes, candidates, states, seed % 2 === 0 ? 'SPREAD' : 'PACK').run();
    const after = JSON.parse(before) as HostRoom[];
    if (choices === null) {
      expect(JSON.stringify(drawn.hosts), `seed ${seed} gave nothing back`).toBe(before);
      if (hasSolution(drawn)) outcomes.missed.push(seed);
      else outcomes.unsolvable += 1;
    } else {
      const chosen = drawn.machines.map((machine) => after.find((host) => host.hostId === choices.get(machine)?.room.hostId) as HostRoom);
      expect(isValid({ ...drawn, hosts: after }, chosen), `seed ${seed}`).toBe(true);
      outcomes.solved += 1;
    }
  }
  expect(outcomes.missed).toEqual([]);
  expect(outcomes.solved).toBeGreaterThan(300);
  expect(outcomes.unsolvable).toBeGreaterThan(100);
});
