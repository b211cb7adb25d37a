import { MuonError } from '#core';
import type { ClusterFacts, NodeFacts } from '../guest/cluster-facts.js';
import { isServing } from '../node/cluster-node.js';
import { quorum } from './cluster.js';

/** Whether the control nodes of a cluster can agree on anything, which every change of its nodes needs. */
export interface Agreement {
  /** Control nodes that can be leaned on. */
  ready: number;
  needed: number;
}

/** Whether the others can lean on it now; its health is believed only after a while, its host's state is known earlier. */
export function isThere({ row, hostState }: Pick<NodeFacts, 'row' | 'hostState'>): boolean {
  return isServing(row) && hostState !== 'DOWN' && hostState !== 'FENCED';
}

/** @param without one that is to go: it has a vote until then, and is not there to give it */
export function agreementOf({ nodes }: Pick<ClusterFacts, 'nodes'>, without?: NodeFacts): Agreement {
  const members = nodes.filter((node) => node.row.role === 'CONTROL' && node.row.phase === 'JOINED');
  const ready = members.filter((node) => node !== without && isThere(node)).length;
  return { ready, needed: quorum(members.length) };
}

/**
 * @param what as `The cluster "blue" cannot grow`
 * @throws INVALID_STATE when the control nodes cannot agree
 */
export function refuseWithoutAgreement({ ready, needed }: Agreement, what: string, data: Record<string, string> = {}): void {
  if (ready >= needed) return;
  throw new MuonError('INVALID_STATE', `${what}: ${ready} control nodes would be ready for that, and ${needed} must agree. Bring their hosts back, or delete the cluster.`, {
    fault: 'OPERATOR',
    data: { ...data, ready, needed },
  });
}
