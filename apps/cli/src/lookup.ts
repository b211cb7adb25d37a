import type { Client } from './client.js';
import { Failure, usageFailure } from './failure.js';
import { ExitCode } from './exit-code.js';

const MAX_NAMED = 20;

/** The id of a project that is given by id or name. */
export async function projectIdOf(client: Client, reference: string): Promise<string> {
  if (reference.startsWith('prj_')) return reference;
  const { project } = await client.query<{ project: { id: string } }>('query ($name: String!) { project(name: $name) { id } }', {
    name: reference,
  });
  return project.id;
}

/** The id of a cluster that is given by id or name; the name alone will do while only one cluster has it. */
export async function clusterIdOf(client: Client, reference: string, project?: string): Promise<string> {
  if (reference.startsWith('cls_')) return reference;
  const projectId = project === undefined ? null : await projectIdOf(client, project);
  const { clusters } = await client.query<{ clusters: { nodes: { id: string; projectId: string }[] } }>(
    'query ($name: String!, $projectId: ID, $first: Int) { clusters(name: $name, projectId: $projectId, first: $first) { nodes { id projectId } } }',
    { name: reference, projectId, first: MAX_NAMED },
  );
  const [found, ...others] = clusters.nodes;
  if (found === undefined) {
    const message = `There is no cluster "${reference}"${project === undefined ? '' : ` in the project "${project}"`} that you may see.`;
    throw new Failure(ExitCode.REFUSED, message, [{ code: 'NOT_FOUND', message }]);
  }
  if (others.length > 0) {
    const places = clusters.nodes.map((cluster) => `${cluster.id} in ${cluster.projectId}`).join(', ');
    throw usageFailure(`Several clusters are called "${reference}" (${places}). Give the id, or --project.`);
  }
  return found.id;
}
