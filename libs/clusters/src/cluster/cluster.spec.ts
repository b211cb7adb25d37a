import { describe, expect, it } from 'vitest';
import { NAME_PATTERN } from '#core';
import { accessWith } from '#testing';
import { redactOutput } from '../guest/redact.js';
import { clusterId, clusterState, derivedName, quorum } from './cluster.js';
import { groupsFor, userFor } from './credential-subject.js';

describe('names that are derived', () => {
  it('are DNS labels that end in the id, whatever the cluster is called', () => {
    const id = clusterId.create();
    expect(derivedName(id, 'blue', 'api')).toBe(`blue-api-${id.slice(-6)}`);
    const long = 'a'.repeat(63);
    const names = [derivedName(id, long, 'workers'), derivedName(id, long, 'others'), derivedName(id, `${'a'.repeat(48)}-b`, 'c')];
    for (const name of names) {
      expect(name).toMatch(NAME_PATTERN);
      expect(name.endsWith(id.slice(-6))).toBe(true);
    }
    expect(new Set(names).size).toBe(3);
  });
});

it('a quorum is more than half', () => {
  expect([1, 3, 5].map(quorum)).toEqual([1, 2, 3]);
});

it('the state of a cluster follows from what is wanted and what is seen', () => {
  const at = { reason: 'ALL_READY', message: '', since: '' } as const;
  const conditions = (api: 'TRUE' | 'FALSE' | 'UNKNOWN', ready: 'TRUE' | 'FALSE') => [
    { type: 'API_AVAILABLE', status: api, ...at } as const,
    { type: 'READY', status: ready, ...at } as const,
  ];
  expect(clusterState({ lifecycle: 'CREATING', conditions: [] })).toBe('CREATING');
  expect(clusterState({ lifecycle: 'PRESENT', conditions: conditions('TRUE', 'TRUE') })).toBe('READY');
  expect(clusterState({ lifecycle: 'PRESENT', conditions: conditions('TRUE', 'FALSE') })).toBe('DEGRADED');
  expect(clusterState({ lifecycle: 'PRESENT', conditions: conditions('UNKNOWN', 'FALSE') })).toBe('UNAVAILABLE');
  expect(clusterState({ lifecycle: 'PRESENT', conditions: [] })).toBe('UNAVAILABLE');
});

describe('what is shown of a script’s output', () => {
  it('keeps the reason and drops what could be a secret', () => {
    const key = Buffer.from('x'.repeat(60)).toString('base64');
    const text = `error: token abcdef.0123456789abcdef\n-----BEGIN EC PRIVATE KEY-----\n${key}\n-----END EC PRIVATE KEY-----\nhash sha256:${'ab'.repeat(32)} \u0007end`;
    expect(redactOutput(text)).toBe('error: token [redacted]\n[redacted]\nhash sha256:[redacted] end');
    expect(redactOutput(`-----BEGIN X-----\n${key}`)).toBe('[redacted]');
    expect(redactOutput(`${'word '.repeat(200)}the end`)).toMatch(/^….{399} ?the end$|^…[\s\S]{400}$/);
  });
});

describe('who somebody is in the cluster', () => {
  const place = { tenantId: 'ten_1', projectId: 'prj_1' };
  it('is the name in Muon, never one of Kubernetes’ own', () => {
    const named = (name: string) => Object.assign(accessWith([]), { principal: { id: 'pri_1', kind: 'USER', name } });
    expect(userFor(named('ann@example.com'))).toBe('ann@example.com');
    expect(userFor(named('system:masters'))).toBe('muon:system:masters');
    expect(userFor(named('System:Masters'))).toBe('muon:System:Masters');
  });

  it('has the group that the rights in Muon stand for', () => {
    expect(groupsFor(accessWith([{ role: 'OWNER', ...place }]), place)).toEqual(['muon:owners']);
    expect(groupsFor(accessWith([]), place)).toEqual(['muon:viewers']);
  });
});
