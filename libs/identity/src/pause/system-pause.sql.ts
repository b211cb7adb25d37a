import { statement } from '#database';

export interface SystemPauseRow {
  id: string;
  mutations: boolean;
  operations: boolean;
  /** For people: why, and how long. */
  message: string;
  since: Date;
  version: number;
}

export const findPause = statement<SystemPauseRow>('pause.find', 'SELECT id, mutations, operations, message, since, version FROM system_pause');
