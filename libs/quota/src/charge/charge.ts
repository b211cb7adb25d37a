import { assert, defineId, MAX_AMOUNT } from '#core';
import type { Section } from '#database';

export const meteringId = defineId('met');

/** Lower-case words joined by dots, as `vm.cpu`; operators may invent any. */
export const RESOURCE_KEY_PATTERN = /^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+$/;
export const MAX_RESOURCE_KEY_LENGTH = 63;
export const RESOURCE_KEY_RULE = `A resource key has up to ${MAX_RESOURCE_KEY_LENGTH} letters: lower-case words joined by dots, as vm.cpu.`;

/** The keys that Muon's own rooms charge. Memory is in MiB, capacity in GiB, the rest are counts. */
export const ResourceKey = {
  CLUSTER_COUNT: 'cluster.count',
  DISK_CAPACITY: 'disk.capacity',
  DISK_COUNT: 'disk.count',
  FLOATING_IP_COUNT: 'floating_ip.count',
  LOAD_BALANCER_COUNT: 'load_balancer.count',
  NETWORK_COUNT: 'network.count',
  SNAPSHOT_COUNT: 'snapshot.count',
  VM_COUNT: 'vm.count',
  VM_CPU: 'vm.cpu',
  VM_MEMORY: 'vm.memory',
} as const;
export type ResourceKey = (typeof ResourceKey)[keyof typeof ResourceKey];

/** Whole amounts by resource key, 0 to 10^12; a key at 0 is the same as none. */
export type Amounts = Readonly<Record<string, number>>;

/**
 * What a mutation takes and gives back. A change set's items are applied as one: give-backs first, then adjustments, then
 * charges, each counter changed once by the sum.
 */
export type Charge =
  | {
      /** Does nothing for keys that the resource is charged for already, whatever the amount. */
      action: 'CHARGE';
      resourceId: string;
      /** The resource's id prefix, as `vm`. */
      resourceKind: string;
      tenantId: string;
      projectId: string | null;
      zoneId: string | null;
      amounts: Amounts;
    }
  | {
      /** The charged resource's new totals: keys not named are given back. */
      action: 'ADJUST';
      resourceId: string;
      amounts: Amounts;
      /** Where it is from now on; left out when that does not change. */
      zoneId?: string | null;
    }
  | {
      /** Gives all back; does nothing for what is not charged. */
      action: 'REFUND';
      resourceId: string;
    };

export type NewCharge = Extract<Charge, { action: 'CHARGE' }>;
export type Adjustment = Extract<Charge, { action: 'ADJUST' }>;

export const CHARGES: Section<Charge> = { name: 'charges' };

/** Of each key the larger of the two: what a resource holds while it may still become either. */
export function largerAmounts(one: Amounts, other: Amounts): Record<string, number> {
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...keys].map((key) => [key, Math.max(one[key] ?? 0, other[key] ?? 0)]));
}

/** The amounts above zero; costs are checked where they come in, so a wrong one here is a defect. */
export function positiveAmounts(amounts: Amounts): [key: string, amount: number][] {
  for (const [key, amount] of Object.entries(amounts)) {
    assert(isResourceKey(key), `"${key}" is no resource key`);
    assert(Number.isInteger(amount) && amount >= 0 && amount <= MAX_AMOUNT, `${amount} is no amount of ${key}`);
  }
  return Object.entries(amounts).filter(([, amount]) => amount > 0);
}

export function isResourceKey(key: string): boolean {
  return key.length <= MAX_RESOURCE_KEY_LENGTH && RESOURCE_KEY_PATTERN.test(key);
}
