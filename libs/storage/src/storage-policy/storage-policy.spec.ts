import { describe, expect, it } from 'vitest';
import { FailureDomain, type DatastoreOffer } from '#infrastructure';
import { complianceOf, isKeptBy, policyRules, type StorageNeeds } from './storage-policy.js';

const NEEDS: StorageNeeds = {
  failures_to_tolerate: 0,
  failure_domain: null,
  redundancy_method: null,
  needs_encryption: false,
  needs_shared_access: false,
  datastore_kinds: [],
  iops_limit: null,
};
const OFFER: DatastoreOffer = {
  kind: 'standard',
  isShared: false,
  failuresToTolerate: 0,
  failureDomain: null,
  redundancyMethod: null,
  isEncrypted: false,
  limitsIops: false,
};

describe('a storage policy', () => {
  it('that asks for nothing is kept by every datastore, and has no rules', () => {
    expect(policyRules(NEEDS, OFFER)).toEqual([]);
  });

  it('is kept by a datastore that survives as many failures of as wide a domain', () => {
    const domains = Object.values(FailureDomain);
    for (const [wanted, failure_domain] of domains.entries()) {
      for (const [offered, failureDomain] of domains.entries()) {
        for (const [wants, has] of [[1, 1], [2, 1], [1, 2]] as const) {
          const needs = { ...NEEDS, failures_to_tolerate: wants, failure_domain };
          const offer = { ...OFFER, failuresToTolerate: has, failureDomain, redundancyMethod: 'MIRRORING' as const };
          expect(isKeptBy(needs, offer), `${wants} of ${failure_domain} by ${has} of ${failureDomain}`).toBe(offered >= wanted && has >= wants);
        }
      }
    }
    expect(isKeptBy({ ...NEEDS, failures_to_tolerate: 1, failure_domain: 'DISK' }, OFFER)).toBe(false);
  });

  it('says of each rule what is expected and what there is', () => {
    const needs: StorageNeeds = {
      failures_to_tolerate: 2,
      failure_domain: 'RACK',
      redundancy_method: 'ERASURE_CODING',
      needs_encryption: true,
      needs_shared_access: true,
      datastore_kinds: ['nvme', 'ssd'],
      iops_limit: 500,
    };
    expect(policyRules(needs, OFFER)).toEqual([
      { rule: 'FAILURES_TO_TOLERATE', expected: '2 of RACK', actual: 'none', isKept: false },
      { rule: 'REDUNDANCY_METHOD', expected: 'ERASURE_CODING', actual: 'none', isKept: false },
      { rule: 'ENCRYPTION', expected: 'encrypted', actual: 'not encrypted', isKept: false },
      { rule: 'SHARED_ACCESS', expected: 'shared', actual: 'of one host', isKept: false },
      { rule: 'DATASTORE_KIND', expected: 'nvme or ssd', actual: 'standard', isKept: false },
      { rule: 'IOPS_LIMIT', expected: '500 a second', actual: 'unlimited', isKept: false },
    ]);
    const offer: DatastoreOffer = {
      kind: 'ssd',
      isShared: true,
      failuresToTolerate: 2,
      failureDomain: 'ZONE',
      redundancyMethod: 'ERASURE_CODING',
      isEncrypted: true,
      limitsIops: true,
    };
    expect(policyRules(needs, offer).map(({ actual, isKept }) => [actual, isKept])).toEqual([
      ['2 of ZONE', true],
      ['ERASURE_CODING', true],
      ['encrypted', true],
      ['shared', true],
      ['ssd', true],
      ['limited', true],
    ]);
  });
});

describe('the compliance of a disk', () => {
  const kept = policyRules({ ...NEEDS, needs_shared_access: true }, { ...OFFER, isShared: true });
  const broken = policyRules({ ...NEEDS, needs_shared_access: true }, OFFER);

  it.each([
    ['HEALTHY', 'COMPLIANT'],
    ['DEGRADED', 'REDUCED_WAITING'],
    ['REBUILDING', 'REDUCED_REBUILDING'],
    ['BLOCKED', 'REDUCED_BLOCKED'],
    ['UNAVAILABLE', 'UNAVAILABLE'],
    ['UNKNOWN', 'UNKNOWN'],
  ] as const)('follows from its health where its rules are kept: %s is %s', (health, state) => {
    expect(complianceOf(kept, health, false)).toBe(state);
  });

  it('is broken by a rule, whatever its health, unless nobody can use it or tell', () => {
    const states = (['HEALTHY', 'DEGRADED', 'REBUILDING', 'BLOCKED', 'UNAVAILABLE', 'UNKNOWN'] as const).map((health) => complianceOf(broken, health, true));
    expect(states).toEqual(['NONCOMPLIANT', 'NONCOMPLIANT', 'NONCOMPLIANT', 'NONCOMPLIANT', 'UNAVAILABLE', 'UNKNOWN']);
  });

  it('is on its way while it is changed to what is wanted', () => {
    expect(complianceOf(kept, 'HEALTHY', true)).toBe('RECONFIGURING');
  });
});
