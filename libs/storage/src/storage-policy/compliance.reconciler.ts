import { isDeepStrictEqual } from 'node:util';
import { toMuonError } from '#core';
import type { Database } from '#database';
import { defineReconciler, type Reconciler, type ReconcilerContext } from '#operations';
import { planDiskLimit } from '../disk/disk-change-plan.js';
import { DISK_LIMIT } from '../disk/disk.operations.js';
import { findDisks } from '../disk/disk.sql.js';
import { readOffer } from './policy-choice.js';
import { usesOfPolicy, type StoragePolicyUsers } from './policy-users.js';
import { complianceOf, policyRules, type PolicyRuleResult, type StoragePolicyRow } from './storage-policy.js';
import {
  findDisksToJudge,
  findOtherwiseLimitedDisks,
  findStoragePolicies,
  findWithdrawnStoragePolicies,
  recordCompliance,
  removeStoragePolicy,
} from './storage-policy.sql.js';

export interface StorageComplianceOptions {
  everyMs?: number;
}

const DEFAULT_EVERY_MS = 10_000;
/** Else it looks at what has changed lately, which is more than twice as long as a transaction or a missed run may take. */
const ALL_EVERY_MS = 10 * 60_000;
const CHANGED_WITHIN_MS = 2 * 60_000;
const PAGE = 1000;
const MAX_PAGES = 2000;
/** Disks that get another limit in one run; the rest is for the next. */
const MAX_LIMITED = 50;
/** After it has failed. */
const RETRY_AFTER_MS = 10 * 60_000;

export const STORAGE_COMPLIANCE = 'storage-compliance';

/**
 * Looks how each disk keeps to its storage policy, and writes down what has changed: from what policies ask, datastores offer and
 * backends last said of the disks. It asks no backend.
 * Where a policy has come to ask for another limit of accesses, the disk gets that by an operation. Withdrawn policies go with their
 * last user.
 */
export function storageCompliance(database: Database, users: readonly StoragePolicyUsers[], options: StorageComplianceOptions = {}): Reconciler {
  let lookedAtAll = 0;
  return defineReconciler({
    name: STORAGE_COMPLIANCE,
    everyMs: options.everyMs ?? DEFAULT_EVERY_MS,
    async run(context) {
      await setLimits(context).catch((error: unknown) => context.log.warn({ err: toMuonError(error) }, 'limits that policies ask for could not be looked for'));
      const startedAt = Date.now();
      const isWhole = startedAt - lookedAtAll >= ALL_EVERY_MS;
      await judge(context, database, isWhole ? null : new Date(startedAt - CHANGED_WITHIN_MS));
      if (isWhole && !context.signal.aborted) lookedAtAll = startedAt;
      await removeWithdrawn(context, database, users);
    },
  });
}

async function setLimits({ reader, submit, log, signal }: ReconcilerContext): Promise<void> {
  const found = await reader.rows(findOtherwiseLimitedDisks, DISK_LIMIT, new Date(Date.now() - RETRY_AFTER_MS), MAX_LIMITED);
  const wanted = new Map(found.map((row) => [row.id, row]));
  for (const disk of wanted.size === 0 ? [] : await reader.rows(findDisks, [...wanted.keys()])) {
    const by = wanted.get(disk.id);
    if (signal.aborted) return;
    // It got another policy meanwhile, with that one's limit.
    if (by === undefined || by.policy_id !== disk.storage_policy_id) continue;
    try {
      await submit(planDiskLimit(disk, by.policy_limit));
    } catch (error) {
      const { code, message } = toMuonError(error);
      // Whoever holds it is changing it: the next run sees what is left.
      if (code !== 'RESOURCE_BUSY') log.warn({ diskId: disk.id, code, reason: message }, 'a disk cannot get the limit that its policy asks for');
    }
  }
}

/** @param since null for all of them */
async function judge({ reader, signal, log }: ReconcilerContext, database: Database, since: Date | null): Promise<void> {
  const rulesOf = new Map<string, PolicyRuleResult[]>();
  const policies = new Map<string, StoragePolicyRow>();
  let after = '';
  for (let page = 0; page < MAX_PAGES && !signal.aborted; page += 1) {
    const rows = await reader.rows(findDisksToJudge, after, since ?? new Date(0), PAGE);
    const missing = [...new Set(rows.map((row) => row.storage_policy_id))].filter((id) => !policies.has(id));
    for (const policy of missing.length === 0 ? [] : await reader.rows(findStoragePolicies, missing)) policies.set(policy.id, policy);
    const verdicts = rows.flatMap((row) => {
      const policy = policies.get(row.storage_policy_id);
      if (policy === undefined) return [];
      const key = `${policy.id}/${row.offer}`;
      const rules = rulesOf.get(key) ?? policyRules(policy, readOffer(row.offer));
      rulesOf.set(key, rules);
      const state = complianceOf(rules, row.health, row.is_being_changed);
      if (state === row.compliance && isDeepStrictEqual(rules, row.compliance_rules)) return [];
      return [{ id: row.id, storage_policy_id: policy.id, state, rules }];
    });
    if (verdicts.length > 0) {
      const changed = await database.transaction((transaction) => transaction.rows(recordCompliance, JSON.stringify(verdicts)));
      for (const disk of changed.filter((row) => row.compliance === 'NONCOMPLIANT').slice(0, 20)) {
        log.warn({ diskId: disk.id }, 'a disk does not keep to its storage policy');
      }
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.id;
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
