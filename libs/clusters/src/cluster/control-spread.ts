import type { MachineSetPlan } from '#compute';
import { MuonError } from '#core';
import type { NodeHome } from '../node/node-plan.js';
import { spareControls } from './cluster.js';

/** @param judge refuses by throwing, before anything is included */
type Plan = (home: NodeHome, judge?: (set: MachineSetPlan) => void) => Promise<MachineSetPlan>;

/**
 * Each control node on a host of its own; where there are too few hosts for that, as many on one as the others can do
 * without: then no host takes the API with it either.
 * @throws INSUFFICIENT_CAPACITY with the explanation why they cannot be apart
 */
export async function planApart(home: NodeHome, controlCount: number, plan: Plan): Promise<MachineSetPlan> {
  const spare = spareControls(controlCount);
  try {
    return await plan(home);
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY' || spare < 2) throw error;
    const sharing: NodeHome = { ...home, groups: { ...home.groups, CONTROL: { ...home.groups.CONTROL, strength: 'PREFER' } } };
    return plan(sharing, ({ changes, machines }) => {
      const controls = machines.slice(0, controlCount);
      const most = Math.max(...[...Map.groupBy(controls, ({ hostId }) => hostId).values()].map(({ length }) => length));
      if (most > spare) throw error;
      const message = `Too few hosts have room for each of ${controlCount} control nodes to be alone, so up to ${most} share one; the others can do without them.`;
      changes.reasons.push({ subject: 'placement', message });
    });
  }
}
