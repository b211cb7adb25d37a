import { MuonError, notFound } from '#core';
import type { Reader } from '#database';
import type { DatastoreOffer } from '#infrastructure';
import type { KeptPolicy } from '#placement';
import { isKeptBy, policyRules, StoragePolicyState, type StoragePolicyRow } from './storage-policy.js';
import { findStoragePoliciesByReference, type OfferedPolicyRow } from './storage-policy.sql.js';

/** A policy for new disks, with what datastores that keep it offer. */
export interface ChosenPolicy {
  policy: StoragePolicyRow;
  kept: KeptPolicy;
  /** What there is, whether it keeps the policy or not. */
  offers: readonly string[];
}

export interface PolicyReference {
  /** Id or name; the default policy, or none where there is no default, when it is undefined. */
  reference: string | undefined;
  field: string;
}

export const readOffer = (text: string): DatastoreOffer => JSON.parse(text) as DatastoreOffer;

/**
 * The policies of new disks, in the order of the references, by one query.
 * @throws NOT_FOUND; INVALID_STATE for one that is on its way out; INSUFFICIENT_CAPACITY, saying why, when no datastore keeps it
 */
export async function resolveStoragePolicies(reader: Reader, references: readonly PolicyReference[]): Promise<(ChosenPolicy | null)[]> {
  const named = references.flatMap(({ reference }) => (reference === undefined ? [] : [reference]));
  const rows = await reader.rows(findStoragePoliciesByReference, [...new Set(named)]);
  const chosen = new Map(rows.map((row) => [row.id, choiceOf(row)]));
  const byReference = (reference: string): ChosenPolicy | undefined =>
    chosen.get(reference) ?? [...chosen.values()].find(({ policy }) => policy.name === reference);
  const standard = [...chosen.values()].find(({ policy }) => policy.is_default) ?? null;
  const found: (ChosenPolicy | null)[] = [];
  for (const { reference, field } of references) {
    const one = reference === undefined ? standard : byReference(reference);
    if (one === undefined) throw notFound('storage policy', reference ?? '', field);
    if (one !== null && one.policy.state !== StoragePolicyState.ACTIVE) {
      throw new MuonError('INVALID_STATE', `The storage policy "${one.policy.name}" is being withdrawn and takes no new disks.`, { field });
    }
    if (one?.kept.offers.length === 0) throw keptByNone(one, field);
    found.push(one);
  }
  return found;
}

/**
 * The policy that a disk has and shall keep to where it is made once more, also while that is being withdrawn.
 * @throws INSUFFICIENT_CAPACITY, saying why, when no datastore keeps it
 */
export async function storagePolicyOf(reader: Reader, policyId: string | null): Promise<ChosenPolicy | null> {
  const row = policyId === null ? undefined : (await reader.rows(findStoragePoliciesByReference, [policyId])).find(({ id }) => id === policyId);
  if (row === undefined) return null;
  const chosen = choiceOf(row);
  if (chosen.kept.offers.length === 0) throw keptByNone(chosen);
  return chosen;
}

function choiceOf({ offers: all, ...policy }: OfferedPolicyRow): ChosenPolicy {
  const offers = all ?? [];
  return { policy, offers, kept: { name: policy.name, offers: offers.filter((offer) => isKeptBy(policy, readOffer(offer))) } };
}

/** Why no datastore at all keeps a policy: the rules that stand in the way. How many datastores there are is not for everybody. */
function keptByNone({ policy, offers }: ChosenPolicy, field?: string): MuonError {
  const broken = new Map(offers.flatMap((offer) => policyRules(policy, readOffer(offer)).flatMap((each) => (each.isKept ? [] : [[each.rule, each.expected]]))));
  const rules = [...broken].map(([rule, expected]) => ({ rule, expected }));
  const why = rules.length === 0 ? 'there is none' : `what they lack is ${rules.map(({ rule, expected }) => `${rule} (${expected})`).join(', ')}`;
  const message = `No datastore keeps the storage policy "${policy.name}": ${why}.`;
  return new MuonError('INSUFFICIENT_CAPACITY', message, { ...(field === undefined ? {} : { field }), data: { storagePolicyId: policy.id, rules } });
}
