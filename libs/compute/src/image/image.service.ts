import { z } from 'zod';
import { defineId, MAX_DISK_GIB, MuonError, nameSchema, notFound, parseInput } from '#core';
import { ChangeSet, constraintMeans, LostRace, ROWS, type Reader } from '#database';
import { Action, SYSTEM_PLACE, CommandRunner, type Access, type CommandOptions, type CommandResult } from '#identity';
import { findImages, findImagesByReference, imageInUse, type ImageRow } from './image.sql.js';

export const imageId = defineId('img');

// It went, or came into use, since the plan was made: plan again.
constraintMeans('virtual_machine_image', (detail) => new LostRace('image', detail));

for (const index of ['image_name', 'image_shared_name']) {
  constraintMeans(index, () => new MuonError('ALREADY_EXISTS', 'An image of this name exists already.', { field: 'input.name' }));
}

export const createImageInput = z.strictObject({
  name: nameSchema,
  /** The backend's own name of the image. */
  reference: z.string().min(1).max(255),
  operatingSystem: z.string().min(1).max(100),
  minimumDiskGib: z.int().min(1).max(MAX_DISK_GIB),
});
export type CreateImageInput = z.input<typeof createImageInput>;

/** The catalogue of images; in this release rows only, shared by all. */
export class ImageService {
  constructor(private readonly commands: CommandRunner) {}

  async create(access: Access, raw: CreateImageInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createImageInput, raw);
    const plan = async (): Promise<ChangeSet> => {
      access.requireSystem(Action.CREATE_CHILD, 'image');
      const id = imageId.create();
      const changes = new ChangeSet().add(ROWS, {
        table: 'image',
        insert: {
          id,
          name: input.name,
          reference: input.reference,
          operating_system: input.operatingSystem,
          minimum_disk_gib: input.minimumDiskGib,
        },
      });
      changes.resources.push({ action: 'CREATE', kind: 'image', id, name: input.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createImage', input, place: SYSTEM_PLACE, ...options }, plan);
  }

  /** In use, it takes no new machines and goes with its last one. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.DELETE, 'image');
      const row = await reader.first(findImages, [id]);
      if (row === undefined) throw notFound('image', id, 'input.id');
      const machines = (await reader.first(imageInUse, id))?.machines ?? 0;
      const changes = new ChangeSet();
      changes.resources.push({ action: 'DELETE', kind: 'image', id, name: row.name });
      changes.add(
        ROWS,
        machines === 0
          ? { table: 'image', remove: true, id, version: row.version }
          : { table: 'image', update: { state: 'PENDING_DELETE' }, id, version: row.version },
      );
      if (machines > 0) {
        changes.reasons.push({ subject: row.name, message: 'Machines use it: it goes with the last of them.', data: { machines } });
      }
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteImage', input: { id }, place: SYSTEM_PLACE, ...options }, plan);
  }
}

/**
 * Finds images by id or name for new machines of a project, all in one query.
 * @throws NOT_FOUND, or INVALID_STATE for one that is on its way out, with the field of the first.
 */
export async function resolveImages(
  reader: Reader,
  projectId: string,
  references: readonly { reference: string; field: string }[],
): Promise<Map<string, ImageRow>> {
  const rows = await reader.rows(findImagesByReference, [...new Set(references.map((each) => each.reference))], projectId);
  const found = new Map<string, ImageRow>();
  for (const row of rows) {
    for (const key of [row.id, row.name]) if (!found.has(key)) found.set(key, row);
  }
  for (const { reference, field } of references) {
    const row = found.get(reference);
    if (row === undefined) throw notFound('image', reference, field);
    if (row.state !== 'ACTIVE') {
      throw new MuonError('INVALID_STATE', `The image "${row.name}" is being withdrawn and takes no new machines.`, { field });
    }
  }
  return found;
}
