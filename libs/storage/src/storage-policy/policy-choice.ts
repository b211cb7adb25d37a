import { MuonError, notFound } from '#core';
import type { Reader } from '#database';
import type { DatastoreOffer } from '#infrastructure';
import type { KeptPolicy } from '#placement';
import { isKeptBy, policyRules, StoragePolicyState, type StoragePolicyRow } from './storage-policy.js';
import { countOffers, findStoragePoliciesByReference, type OfferedPolicyRow } from './storage-policy.sql.js';

/** A policy for new disks, with what datastores that keep it offer. */
export interface ChosenPolicy {
  policy: StoragePolicyRow;
  kept: KeptPolicy;
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
    if (one?.kept.offers.length === 0) throw await keptByNone(reader, one.policy, field);
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
  if (chosen.kept.offers.length === 0) throw await keptByNone(reader, chosen.policy);
  return chosen;
}

function choiceOf({ offers, ...policy }: OfferedPolicyRow): ChosenPolicy {
  return { policy, kept: { name: policy.name, offers: (offers ?? []).filter((offer) => isKeptBy(policy, readOffer(offer))) } };
}

/** Why no datastore at all keeps a policy: how many break which rule. */
async function keptByNone(reader: Reader, policy: StoragePolicyRow, field?: string): Promise<MuonError> {
  const broken = new Map<string, { expected: string; datastores: number }>();
  let total = 0;
  for (const { offer, datastores } of await reader.rows(countOffers)) {
    total += datastores;
    for (const { rule, expected, isKept } of policyRules(policy, readOffer(offer))) {
      if (!isKept) broken.set(rule, { expected, datastores: (broken.get(rule)?.datastores ?? 0) + datastores });
    }
  }
  const rules = [...broken].map(([rule, { expected, datastores }]) => ({ rule, expected, datastores }));
  const why = rules.map(({ rule, expected, datastores }) => `${datastores} break ${rule} (${expected})`).join(', ');
  const message = `No datastore keeps the storage policy "${policy.name}". Of ${total} active ones${total === 0 ? ' there is none' : `: ${why}`}.`;
  return new MuonError('INSUFFICIENT_CAPACITY', message, { ...(field === undefined ? {} : { field }), data: { storagePolicyId: policy.id, datastores: total, rules } });
}
