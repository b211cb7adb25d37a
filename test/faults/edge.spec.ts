import { runKinds } from './run-kinds.js';
import { edgeScenarios } from './scenarios/edge.js';

runKinds('faults of external networks, routers and floating IPs', edgeScenarios);
