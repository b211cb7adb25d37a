import type { ErrorRecord } from '#core';
import { statement } from '#database';
import type { Suspects } from './observation.js';

export interface ObservationRow {
  cluster_id: string;
  suspects: Suspects;
  heal_failures: number;
  /** Healing is not tried before. */
  heal_not_before: Date | null;
  heal_error: ErrorRecord | null;
}

/** By the clock that the turns are taken by. */
export const readClock = statement<{ now: Date }>('cluster_observation.clock', 'SELECT clock_timestamp() AS now');

/**
 * Takes the clusters whose turn it is: those that were looked at longest ago, and not since this run began. Others take
 * others.
 */
export const takeTurn = statement<ObservationRow, [limit: number, everyMs: number, runBegan: Date]>(
  'cluster_observation.take_turn',
  `UPDATE cluster_observation AS o SET observed_at = clock_timestamp()
   FROM (
     SELECT o.cluster_id FROM cluster_observation AS o JOIN cluster AS c ON c.id = o.cluster_id
     WHERE c.lifecycle = 'PRESENT' AND o.observed_at <= clock_timestamp() - $2::int * interval '1 millisecond' AND o.observed_at < $3
     ORDER BY o.observed_at, o.cluster_id LIMIT $1::int FOR UPDATE OF o SKIP LOCKED
   ) AS due
   WHERE o.cluster_id = due.cluster_id
   RETURNING o.cluster_id, o.suspects, o.heal_failures, o.heal_not_before, o.heal_error`,
);

export const findObservations = statement<ObservationRow, [clusterIds: string[]]>(
  'cluster_observation.find',
  `SELECT cluster_id, suspects, heal_failures, heal_not_before, heal_error FROM cluster_observation WHERE cluster_id = ANY($1)`,
);

export const setSuspects = statement<never, [clusterId: string, suspects: string]>(
  'cluster_observation.set_suspects',
  'UPDATE cluster_observation SET suspects = $2::jsonb WHERE cluster_id = $1 AND suspects <> $2::jsonb',
);

/** Makes these due at once. */
export const hastenObservations = statement<never, [clusterIds: string[]]>(
  'cluster_observation.hasten',
  `UPDATE cluster_observation SET observed_at = '-infinity' WHERE cluster_id = ANY($1)`,
);

export const healingSucceeded = statement<never, [clusterId: string]>(
  'cluster_observation.healed',
  `UPDATE cluster_observation SET heal_failures = 0, heal_not_before = NULL, heal_error = NULL, observed_at = '-infinity'
   WHERE cluster_id = $1`,
);

/** Tried again later, each time twice as late. */
export const healingFailed = statement<never, [clusterId: string, error: string, backoffMs: number]>(
  'cluster_observation.heal_failed',
  `UPDATE cluster_observation SET heal_failures = heal_failures + 1, heal_error = $2::jsonb,
     heal_not_before = clock_timestamp() + $3::int * power(2, least(heal_failures, 10)) * interval '1 millisecond'
   WHERE cluster_id = $1`,
);

/** Why a replacement was refused at admission: not a failed healing, so the next look may try again. */
export const noteRefusal = statement<never, [clusterId: string, error: string]>(
  'cluster_observation.note_refusal',
  'UPDATE cluster_observation SET heal_error = $2::jsonb WHERE cluster_id = $1 AND heal_error IS DISTINCT FROM $2::jsonb',
);
