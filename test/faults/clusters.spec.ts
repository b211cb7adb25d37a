import { runKinds } from './run-kinds.js';
import { clusterScenarios } from './scenarios/clusters.js';

runKinds('faults of clusters', clusterScenarios);
