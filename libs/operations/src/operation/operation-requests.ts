import { Injectable } from '@nestjs/common';
import type { ChangeSet, Reader } from '#database';
import { Action, kindOfId, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place } from '#identity';
import { findOperations, type OperationRow } from './operation-queries.sql.js';
import { OperationService } from './operation.service.js';

/** What callers may ask of operations: proves their right and runs what `OperationService` plans as a command. */
@Injectable()
export class OperationRequests {
  constructor(
    private readonly commands: CommandRunner,
    private readonly operations: OperationService,
  ) {}

  /**
   * Asks it to stop and take back what it has done.
   * @throws NOT_FOUND; INVALID_STATE when it has ended, is a child, is STUCK or past its pivot
   */
  async cancel(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(access, 'cancelOperation', id, { id }, options, (reader) => this.operations.planCancel(reader, id));
  }

  /**
   * Admits a FAILED one again as a new attempt, for whoever may change what it works on; lets a STUCK one go on where it
   * is, for operators.
   */
  async retry(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(access, 'retryOperation', id, { id }, options, (reader, row) => {
      if (row.state === 'STUCK') access.requireSystem(Action.DELETE, 'operation');
      return this.operations.planRetry(reader, id);
    });
  }

  /** Gives a STUCK one up, for operators. */
  async abandon(access: Access, id: string, reason: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.run(access, 'abandonOperation', id, { id, reason }, options, (reader) => {
      access.requireSystem(Action.DELETE, 'operation');
      return this.operations.planAbandon(reader, id, reason);
    });
  }

  private async run(
    access: Access,
    name: string,
    id: string,
    input: Record<string, string>,
    options: CommandOptions,
    plan: (reader: Reader, row: OperationRow) => Promise<ChangeSet>,
  ): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    return this.commands.run({ access, name, input, place, ...options }, async (reader) => {
      const [row] = await reader.rows(findOperations, [id]);
      const found = row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
      const operation = access.require(Action.MODIFY, 'operation', found, id, 'input.id');
      const kind = kindOfId(operation.resource_id);
      if (kind !== undefined) access.require(Action.MODIFY, kind, operation, operation.resource_id, 'input.id');
      Object.assign(place, { tenantId: operation.tenantId, projectId: operation.projectId });
      return plan(reader, operation);
    });
  }
}
