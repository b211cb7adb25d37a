import { MuonError } from '#core';
import type { ClusterKind } from '../version/cluster-version.js';
import type { Blueprint } from './blueprint.js';
import { kubernetesBlueprint } from './kubernetes/kubernetes-blueprint.js';
import { swarmBlueprint } from './swarm/swarm-blueprint.js';

const BLUEPRINTS: readonly Blueprint[] = [kubernetesBlueprint, swarmBlueprint];

/** @throws UNSUPPORTED naming the kinds that this release can make */
export function blueprintOf(kind: ClusterKind, field = 'input.kind'): Blueprint {
  const found = BLUEPRINTS.find((blueprint) => blueprint.kind === kind);
  if (found !== undefined) return found;
  const supported = BLUEPRINTS.map((blueprint) => blueprint.kind);
  throw new MuonError('UNSUPPORTED', `Clusters of kind ${kind} cannot be made in this release; use ${supported.join(' or ')}.`, {
    field,
    data: { kind, supported },
  });
}
