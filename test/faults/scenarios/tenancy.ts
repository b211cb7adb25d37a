import { findProjects, findTenants, ProjectService, TenantService } from '#tenancy';
import { findPortsOfOwners } from '#network';
import type { Stage } from '../bench/lane.js';
import type { Scenario } from '../scenario.js';
import { finished, makeMachine, makeNetwork, startDisk, startedBy, startLoadBalancer } from './material.js';

/** One of everything that people make. */
async function furnish(stage: Stage): Promise<void> {
  const networkId = await makeNetwork(stage);
  const [machineId] = await Promise.all([
    makeMachine(stage, networkId),
    (async () => finished(stage, await startDisk(stage)))(),
  ]);
  const ports = await stage.bench.database.rows(findPortsOfOwners, [machineId]);
  await finished(stage, await startLoadBalancer(stage, networkId, ports.map((port) => port.id)));
}

export const tenancyScenarios: readonly Scenario[] = [
  {
    kind: 'tenancy.tenant.offboard',
    async prepare(stage) {
      const { bench, tenantId } = stage;
      await furnish(stage);
      return {
        submit: async () => startedBy(await bench.service(TenantService).offboard(bench.access, { id: tenantId })).operationId,
        async check(state) {
          const [tenant] = await bench.database.rows(findTenants, [tenantId]);
          return state === 'SUCCEEDED' && tenant !== undefined ? ['the tenant is still there'] : [];
        },
      };
    },
  },
  {
    kind: 'tenancy.project.delete',
    async prepare(stage) {
      const { bench, projectId } = stage;
      await furnish(stage);
      return {
        submit: async () => startedBy(await bench.service(ProjectService).delete(bench.access, { id: projectId })).operationId,
        async check(state) {
          const [project] = await bench.database.rows(findProjects, [projectId]);
          return state === 'SUCCEEDED' && project !== undefined ? ['the project is still there'] : [];
        },
      };
    },
  },
];
