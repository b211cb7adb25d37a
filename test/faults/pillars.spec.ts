import { runKinds } from './run-kinds.js';
import { computeScenarios } from './scenarios/compute.js';
import { firewallScenarios } from './scenarios/firewall.js';
import { infrastructureScenarios } from './scenarios/infrastructure.js';
import { networkScenarios } from './scenarios/network.js';
import { storageScenarios } from './scenarios/storage.js';
import { tenancyScenarios } from './scenarios/tenancy.js';

runKinds('faults of infrastructure, tenancy and the pillars', [
  ...tenancyScenarios,
  ...computeScenarios,
  ...infrastructureScenarios,
  ...networkScenarios,
  ...firewallScenarios,
  ...storageScenarios,
]);
