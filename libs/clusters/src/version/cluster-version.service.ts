import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, nameSchema, notFound, parseInput } from '#core';
import { resolveImages } from '#compute';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { Action, CommandRunner, SYSTEM_PLACE, type Access, type CommandOptions, type CommandResult } from '#identity';
import { ClusterKind, clusterVersionId, type ClusterVersionRow } from './cluster-version.js';
import { clusterVersionInUse, findClusterVersions, findClusterVersionsByReference } from './cluster-version.sql.js';

constraintMeans('cluster_version_name', () => new MuonError('ALREADY_EXISTS', 'A cluster version of this name exists already.', { field: 'input.name' }));

const RELEASE = /^\d{1,4}(\.\d{1,4}){1,3}([-+][0-9a-z.-]{1,32})?$/;

export const createClusterVersionInput = z.strictObject({
  name: nameSchema,
  kind: z.enum(ClusterKind),
  release: z.string().max(60).regex(RELEASE, 'A release reads like "1.34.2".'),
  /** Id or name of a shared image. */
  image: z.string().min(1).max(100),
});
export type CreateClusterVersionInput = z.input<typeof createClusterVersionInput>;

/** The catalogue of versions that clusters can have. */
@Injectable()
export class ClusterVersionService {
  constructor(private readonly commands: CommandRunner) {}

  /** @throws FORBIDDEN; NOT_FOUND or INVALID_STATE of the image; ALREADY_EXISTS */
  async create(access: Access, raw: CreateClusterVersionInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createClusterVersionInput, raw);
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'cluster version');
      // Only shared images have no project; one that is looked for in no project finds nothing else.
      const images = await resolveImages(reader, '', [{ reference: input.image, field: 'input.image' }]);
      const id = clusterVersionId.create();
      const { name, kind, release } = input;
      const changes = new ChangeSet().add(ROWS, {
        table: 'cluster_version',
        insert: { id, name, kind, release, image_id: images.get(input.image)?.id },
      });
      changes.resources.push({ action: 'CREATE', kind: 'cluster version', id, name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createClusterVersion', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** In use, it takes no new clusters and goes with its last one. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'cluster version');
      const row = await reader.first(findClusterVersions, [id]);
      if (row === undefined) throw notFound('cluster version', id, 'input.id');
      const clusters = (await reader.first(clusterVersionInUse, id))?.clusters ?? 0;
      const changes = new ChangeSet();
      changes.resources.push({ action: 'DELETE', kind: 'cluster version', id, name: row.name });
      changes.add(
        ROWS,
        clusters === 0
          ? { table: 'cluster_version', remove: true, id, version: row.version }
          : { table: 'cluster_version', update: { state: 'PENDING_DELETE' }, id, version: row.version },
      );
      if (clusters > 0) {
        changes.reasons.push({ subject: row.name, message: 'Clusters use it: it goes with the last of them.', data: { clusters } });
      }
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteClusterVersion', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

/** @throws NOT_FOUND, or INVALID_STATE for one that is on its way out */
export async function resolveClusterVersion(
  reader: Reader,
  kind: ClusterKind,
  reference: string,
  field: string,
): Promise<ClusterVersionRow> {
  const row = await reader.first(findClusterVersionsByReference, kind, reference);
  if (row === undefined) throw notFound('cluster version', reference, field);
  if (row.state === 'ACTIVE') return row;
  throw new MuonError('INVALID_STATE', `The version "${row.name}" is being withdrawn and takes no new clusters.`, { field });
}
