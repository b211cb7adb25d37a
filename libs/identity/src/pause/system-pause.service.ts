import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { MuonError, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, type Reader } from '#database';
import { SYSTEM_SCOPE_ID } from '#scopes';
import { SYSTEM_PLACE, type Access } from '../access/access.js';
import { Action } from '../access/role.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { findPause, type SystemPauseRow } from './system-pause.sql.js';

constraintMeans('system_pause_pkey', () => new MuonError('CONFLICT', 'Somebody else has paused the system at the same time; read it again.'));

export const pauseSystemInput = z
  .strictObject({
    mutations: z.boolean().default(false),
    operations: z.boolean().default(false),
    message: z.string().trim().min(1, 'Say why, and for how long.').max(500, 'A message has at most 500 characters.'),
  })
  .refine(({ mutations, operations }) => mutations || operations, { error: 'Pause mutations, operations, or both.', path: ['mutations'] });

/** An operator stops changes for the whole system for a while, as for a backup or while something is mended; reads go on. */
@Injectable()
export class SystemPauseService {
  constructor(private readonly commands: CommandRunner) {}

  async pause(access: Access, raw: z.input<typeof pauseSystemInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(pauseSystemInput, raw);
    return this.run(access, 'pauseSystem', input, options, (pause) =>
      pause === undefined
        ? new ChangeSet().add(ROWS, { table: 'system_pause', insert: { id: SYSTEM_SCOPE_ID, ...input } })
        : new ChangeSet().add(ROWS, { table: 'system_pause', update: input, id: pause.id, version: pause.version }),
    );
  }

  /** Changes nothing when the system is not paused. */
  async resume(access: Access, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(access, 'resumeSystem', {}, options, (pause) =>
      pause === undefined ? new ChangeSet() : new ChangeSet().add(ROWS, { table: 'system_pause', remove: true, id: pause.id, version: pause.version }),
    );
  }

  private run(
    access: Access,
    name: string,
    input: { mutations?: boolean; operations?: boolean; message?: string },
    options: CommandOptions,
    changesOf: (pause: SystemPauseRow | undefined) => ChangeSet,
  ): Promise<CommandResult> {
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      access.requireSystem(Action.MODIFY, 'system');
      const changes = changesOf(await reader.first(findPause));
      changes.resources.push({ action: 'UPDATE', kind: 'system', id: SYSTEM_SCOPE_ID, name: 'system' });
      changes.result = { id: SYSTEM_SCOPE_ID };
      return changes;
    };
    return this.commands.run({ access, name, input, place: SYSTEM_PLACE, evenPaused: true, ...options }, plan);
  }
}
