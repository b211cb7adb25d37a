import { readFileSync } from 'node:fs';
import { buildSchema, getNamedType, isInputObjectType } from 'graphql';
import { expect, it } from 'vitest';

it('every mutation can be planned, but those whose plan could not show a secret when it is applied', () => {
  const mutations = Object.values(buildSchema(readFileSync('docs/schema.graphql', 'utf8')).getMutationType()?.getFields() ?? {});
  const unplanned = mutations.filter(({ args }) => {
    const input = getNamedType(args.find(({ name }) => name === 'input')?.type);
    return !isInputObjectType(input) || input.getFields()['dryRun'] === undefined;
  });
  expect(unplanned.map(({ name }) => name).sort()).toEqual(['applyPlan', 'createApiToken', 'createDockerBundle', 'createKubeconfig', 'readVirtualMachineConsole']);
});
