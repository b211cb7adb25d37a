import { callOf, machineOf } from './fixtures.js';
import { simulatedDriverFactory } from './index.js';

/**
 * A process that makes machines without an end, for the spec that kills it: says on standard output which are DONE.
 */
export async function makeMachines(url: string, backendId: string): Promise<never> {
  const connection = { backendId, installationId: 'installation_1', endpoint: url, secret: null, options: {} };
  const driver = await simulatedDriverFactory().connect(connection);
  for (let number = 0; ; number += 1) {
    const machineId = `vm_${String(number).padStart(6, '0')}`;
    const outcome = await driver.compute.createMachine(callOf(), machineOf(machineId));
    if (outcome.state === 'DONE') process.stdout.write(`${machineId}\n`);
  }
}
