import { toMuonError } from '#core';
import type { Database } from '#database';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { planDiskLimit } from '../disk/disk-change-plan.js';
import { DISK_LIMIT } from '../disk/disk.operations.js';
import { findDisks } from '../disk/disk.sql.js';
import { readOffer } from './policy-choice.js';
import { usesOfPolicy, type StoragePolicyUsers } from './policy-users.js';
import { complianceOf, policyRules } from './storage-policy.js';
import {
  findComplianceCases,
  findOtherwiseLimitedDisks,
  findStoragePolicies,
  findWithdrawnStoragePolicies,
  forgetCompliance,
  recordCompliance,
  removeStoragePolicy,
} from './storage-policy.sql.js';

export interface StorageComplianceOptions {
  everyMs?: number;
}

const DEFAULT_EVERY_MS = 10_000;
/** Policies times what datastores offer times states of health: a few. */
const MAX_CASES = 10_000;
/** Disks that get another limit in one run; the rest is for the next. */
const MAX_LIMITED = 50;
/** After it has failed. */
const RETRY_AFTER_MS = 10 * 60_000;
const BATCH = 1000;
const MAX_BATCHES = 1000;

export const STORAGE_COMPLIANCE = 'storage-compliance';

/**
 * Looks how each disk keeps to its storage policy, and writes down what has changed: from what policies ask, datastores offer and
 * backends last said of the disks. It asks no backend, and its statements do not grow with the number of disks that have not changed.
 * Where a policy has come to ask for another limit of accesses, the disk gets that by an operation. Withdrawn policies go with their
 * last user.
 */
export function storageCompliance(database: Database, users: readonly StoragePolicyUsers[], options: StorageComplianceOptions = {}): Reconciler {
  return defineReconciler({
    name: STORAGE_COMPLIANCE,
    everyMs: options.everyMs ?? DEFAULT_EVERY_MS,
    async run(context) {
      await setLimits(context);
      await judge(context, database);
      await removeWithdrawn(context, database, users);
    },
  });
}

async function setLimits({ reader, submit, log, signal }: ReconcilerContext): Promise<void> {
  const found = await reader.rows(findOtherwiseLimitedDisks, DISK_LIMIT, new Date(Date.now() - RETRY_AFTER_MS), MAX_LIMITED);
  const wanted = new Map(found.map((row) => [row.id, row.policy_limit]));
  for (const disk of wanted.size === 0 ? [] : await reader.rows(findDisks, [...wanted.keys()])) {
    if (signal.aborted) return;
    try {
      await submit(planDiskLimit(disk, wanted.get(disk.id) ?? null));
    } catch (error) {
      const { code, message } = toMuonError(error);
      // Whoever holds it is changing it: the next run sees what is left.
      if (code !== 'RESOURCE_BUSY') log.warn({ diskId: disk.id, code, reason: message }, 'a disk cannot get the limit that its policy asks for');
    }
  }
}

async function judge({ reader, signal, log }: ReconcilerContext, database: Database): Promise<void> {
  const cases = await reader.rows(findComplianceCases, MAX_CASES);
  const ids = [...new Set(cases.map((each) => each.storage_policy_id))];
  const policies = new Map((ids.length === 0 ? [] : await reader.rows(findStoragePolicies, ids)).map((row) => [row.id, row]));
  const verdicts = cases.flatMap((each) => {
    const policy = policies.get(each.storage_policy_id);
    if (policy === undefined) return [];
    const rules = policyRules(policy, readOffer(each.offer));
    return [{ ...each, state: complianceOf(rules, each.health, each.is_being_changed), rules }];
  });
  const text = JSON.stringify(verdicts);
  for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
    const changed = await database.transaction((transaction) => transaction.rows(recordCompliance, text, BATCH));
    for (const disk of changed.filter((row) => row.compliance === 'NONCOMPLIANT').slice(0, 20)) {
      log.warn({ diskId: disk.id }, 'a disk does not keep to its storage policy');
    }
    if (changed.length < BATCH) break;
  }
  for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
    if ((await database.transaction((transaction) => transaction.execute(forgetCompliance, BATCH))) < BATCH) break;
  }
}

async function removeWithdrawn({ reader, log }: ReconcilerContext, database: Database, users: readonly StoragePolicyUsers[]): Promise<void> {
  for (const { id } of await reader.rows(findWithdrawnStoragePolicies)) {
    if ((await usesOfPolicy(reader, users, id)).length > 0) continue;
    try {
      await database.transaction((transaction) => transaction.execute(removeStoragePolicy, id));
      log.info({ storagePolicyId: id }, 'a withdrawn storage policy is gone');
    } catch (error) {
      // A foreign key has the last word.
      log.info({ storagePolicyId: id, err: toMuonError(error) }, 'a withdrawn storage policy is still in use');
    }
  }
}
