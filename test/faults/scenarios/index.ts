import type { Scenario } from '../scenario.js';
import { clusterScenarios } from './clusters.js';
import { computeScenarios } from './compute.js';
import { edgeScenarios } from './edge.js';
import { firewallScenarios } from './firewall.js';
import { infrastructureScenarios } from './infrastructure.js';
import { networkScenarios } from './network.js';
import { storageScenarios } from './storage.js';
import { tenancyScenarios } from './tenancy.js';

/** One for every kind of operation that the house registers. */
export const scenarios: readonly Scenario[] = [
  ...infrastructureScenarios,
  ...tenancyScenarios,
  ...networkScenarios,
  ...edgeScenarios,
  ...firewallScenarios,
  ...storageScenarios,
  ...computeScenarios,
  ...clusterScenarios,
];
