import { MuonError } from '#core';
import type { MachineSetPlan } from '#compute';
import type { ChangeSet } from '#database';
import type { NodeHome } from '../node/node-plan.js';
import type { PlannedGrowth } from '../node-pool/node-pool-plan.js';
import { spareControls } from './cluster.js';

/** The same, with so many control nodes on a host at most where they cannot all be apart; as few as can be even then. */
function sharing(home: NodeHome, most: number): NodeHome {
  return { ...home, groups: { ...home.groups, CONTROL: { ...home.groups.CONTROL, most } } };
}

const canShare = (most: number): string => `up to ${most} share one; the others can do without them.`;

/**
 * Each control node on a host of its own; where there are too few hosts for that, as many on one as the others can do
 * without: then no host takes the API with it either.
 * @param changes get the reason why they are not apart
 * @throws INSUFFICIENT_CAPACITY with the explanation
 */
export async function planApart(
  home: NodeHome,
  controlCount: number,
  changes: ChangeSet,
  plan: (home: NodeHome) => Promise<MachineSetPlan>,
): Promise<MachineSetPlan> {
  const spare = spareControls(controlCount);
  try {
    return await plan(home);
  } catch (error) {
    if (!(error instanceof MuonError) || error.code !== 'INSUFFICIENT_CAPACITY' || spare < 2) throw error;
    const set = await plan(sharing(home, spare));
    const message = `Too few hosts have room for each of ${controlCount} control nodes to be alone, so ${canShare(spare)}`;
    changes.reasons.push({ subject: 'placement', message });
    return set;
  }
}

/**
 * The place of one control node that is made instead of another: apart from the others; else beside as many as the others can do
 * without; and instead of one that is lost anywhere rather than nowhere. What has no place is a problem of the plan.
 * @param serves whether the one that it replaces is well: nobody gives that up for a place by which a host takes the API with it
 */
export async function planControlReplacement(
  home: NodeHome,
  controlCount: number,
  serves: boolean,
  plan: (home: NodeHome) => Promise<PlannedGrowth>,
): Promise<PlannedGrowth> {
  const spare = spareControls(controlCount);
  let planned = await plan(home);
  // A group of another strength has been asked for nothing that could be left out.
  const shares = home.groups.CONTROL.strength === 'REQUIRE' ? [spare, ...(serves ? [] : [controlCount])] : [];
  for (const most of shares.filter((each) => each > 1)) {
    if (planned.changes.problems.length === 0) return planned;
    planned = await plan(sharing(home, most));
    const how = most <= spare ? canShare(most) : 'this one shares its host until one of them is replaced again: the loss of that host would stop the API.';
    if (planned.changes.problems.length === 0) planned.changes.reasons.push({ subject: 'placement', message: `No host without another control node has room, so ${how}` });
  }
  return planned;
}
