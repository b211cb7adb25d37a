import { MuonError } from '#core';
import type { ClusterFacts, NodeFacts } from '../guest/cluster-facts.js';
import { isServing } from '../node/cluster-node.js';
import { quorum } from './cluster.js';

/** Whether the control nodes of a cluster can agree on anything, which every change of its nodes needs. */
export interface Agreement {
  /** Control nodes that can be leaned on. */
  ready: number;
  needed: number;
  /** One that is not counted because nobody has seen it since it was made or moved. */
  unseen: NodeFacts | undefined;
}

/** Whether the others can lean on it now; its health is believed only after a while, its host's state is known earlier. */
export function isThere({ row, hostState }: Pick<NodeFacts, 'row' | 'hostState'>): boolean {
  return isServing(row) && hostState !== 'DOWN' && hostState !== 'FENCED';
}

/**
 * @param without one that is to go: it has a vote until then, and is not there to give it. While it serves it is not given up for
 *   others that nobody has seen yet: they may be starting still.
 */
export function agreementOf({ nodes }: Pick<ClusterFacts, 'nodes'>, without?: NodeFacts): Agreement {
  const members = nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED');
  const there = members.filter((node) => node !== without && isThere(node));
  const isGivenUp = without !== undefined && members.includes(without) && isServing(without.row);
  const unseen = isGivenUp ? there.filter((node) => node.row.health !== 'READY') : [];
  return { ready: there.length - unseen.length, needed: quorum(members.length), unseen: unseen[0] };
}

/**
 * @param what as `The cluster "blue" cannot grow`
 * @throws INVALID_STATE when the control nodes cannot agree
 */
export function refuseWithoutAgreement({ ready, needed, unseen }: Agreement, what: string, data: Record<string, string> = {}): void {
  if (ready >= needed) return;
  const lack = `${what}: ${ready} control nodes would be ready for that, and ${needed} must agree.`;
  if (unseen !== undefined) {
    const { id, name } = unseen.row;
    const message = `${lack} "${name}" has not been seen to be ready since it was made or moved; try again when it has been.`;
    throw new MuonError('INVALID_STATE', message, { fault: 'SYSTEM', data: { ...data, ready, needed, unseenNodeId: id } });
  }
  throw new MuonError('INVALID_STATE', `${lack} Bring their hosts back, or delete the cluster.`, {
    fault: 'OPERATOR',
    data: { ...data, ready, needed },
  });
}
