import { describe, expect, it } from 'vitest';
import { foldSighting, isWorthAsking, sightingOf, type HealthFact, type Sighting, type Suspect } from './observation.js';

const thresholds = { ready: 0, notReady: 40_000, unreachable: 20_000 };
const start = new Date('2026-11-23T12:00:00Z');
const after = (ms: number): Date => new Date(start.getTime() + ms);
const ready: HealthFact = { health: 'READY', reason: 'NODE_READY', since: start };
const notReady: Sighting = { health: 'NOT_READY', reason: 'NODE_NOT_READY' };

describe('what is believed of a node', () => {
  /** Folds sightings that come at these times, in seconds. */
  function fold(believed: HealthFact, sightings: readonly [second: number, seen: Sighting | undefined][]): { believed: HealthFact; suspect: Suspect | undefined } {
    let state: { believed: HealthFact; suspect: Suspect | undefined } = { believed, suspect: undefined };
    for (const [second, seen] of sightings) state = foldSighting(state.believed, state.suspect, seen, thresholds, after(second * 1000));
    return state;
  }

  it('does not flip before its threshold, and then since the first sighting', () => {
    expect(fold(ready, [[10, notReady], [49, notReady]])).toEqual({ believed: ready, suspect: { ...notReady, since: after(10_000).toISOString() } });
    expect(fold(ready, [[10, notReady], [50, notReady]])).toEqual({ believed: { ...notReady, since: after(10_000) }, suspect: undefined });
  });

  it('forgets a suspicion that was not confirmed, and begins anew when another one comes', () => {
    const good: Sighting = { health: 'READY', reason: 'NODE_READY' };
    expect(fold(ready, [[10, notReady], [20, good], [30, notReady], [65, notReady]]).believed.health).toBe('READY');
    const silent: Sighting = { health: 'UNREACHABLE', reason: 'HOST_SILENT' };
    expect(fold(ready, [[10, notReady], [20, silent], [35, silent]])).toMatchObject({ believed: ready, suspect: { health: 'UNREACHABLE' } });
    expect(fold(ready, [[10, notReady], [20, silent], [40, silent]]).believed).toEqual({ ...silent, since: after(20_000) });
  });

  it('does not lean on a suspicion from before the node was moved', () => {
    const moved: HealthFact = { health: 'UNKNOWN', reason: 'NOT_OBSERVED', since: after(30_000) };
    const suspect: Suspect = { ...notReady, since: after(10_000).toISOString() };
    const seen = foldSighting(moved, suspect, notReady, thresholds, after(55_000));
    expect(seen).toEqual({ believed: moved, suspect: { ...notReady, since: after(55_000).toISOString() } });
  });

  it('keeps what it has when nothing could be learned', () => {
    const state = fold(ready, [[10, notReady], [30, undefined], [50, notReady]]);
    expect(state.believed).toEqual({ ...notReady, since: after(10_000) });
  });

  it('believes at once what is proven, and a node that is well again', () => {
    expect(fold(ready, [[1, { health: 'LOST', reason: 'HOST_FENCED' }]]).believed).toMatchObject({ health: 'LOST', since: after(1000) });
    expect(fold({ ...notReady, since: start }, [[1, { health: 'READY', reason: 'NODE_READY' }]]).believed).toMatchObject({ health: 'READY' });
    // One backend's word that a machine is gone is no proof yet.
    expect(fold(ready, [[1, { health: 'LOST', reason: 'MACHINE_GONE' }]]).believed.health).toBe('READY');
  });

  it('takes over another reason at once and keeps the time', () => {
    const stopped: Sighting = { health: 'NOT_READY', reason: 'MACHINE_NOT_RUNNING' };
    expect(fold({ ...notReady, since: start }, [[30, stopped]]).believed).toEqual({ ...stopped, since: start });
  });
});

describe('what is seen of a node at one look', () => {
  it.each([
    [{ machine: undefined, host: undefined }, undefined, { health: 'LOST', reason: 'MACHINE_GONE' }],
    [{ machine: 'UNKNOWN', host: 'FENCED' }, undefined, { health: 'LOST', reason: 'HOST_FENCED' }],
    [{ machine: 'UNKNOWN', host: 'DOWN' }, undefined, { health: 'UNREACHABLE', reason: 'HOST_SILENT' }],
    [{ machine: 'STOPPED', host: 'ACTIVE' }, undefined, { health: 'NOT_READY', reason: 'MACHINE_NOT_RUNNING' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, 'READY', { health: 'READY', reason: 'NODE_READY' }],
    [{ machine: 'RUNNING', host: 'SUSPENDED' }, 'NOT_READY', { health: 'NOT_READY', reason: 'NODE_NOT_READY' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, 'SILENT', { health: 'NOT_READY', reason: 'GUEST_SILENT' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, 'STOPPED', { health: 'NOT_READY', reason: 'MACHINE_NOT_RUNNING' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, 'AWAY', { health: 'UNREACHABLE', reason: 'BACKEND_SILENT' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, 'GONE', { health: 'LOST', reason: 'MACHINE_GONE' }],
    [{ machine: 'RUNNING', host: 'ACTIVE' }, undefined, undefined],
  ] as const)('of %j with the answer %s is %j', (ground, answer, seen) => {
    expect(sightingOf(ground, answer)).toEqual(seen);
    // Only those that say nothing by themselves are asked.
    expect(isWorthAsking(ground)).toBe(sightingOf(ground, undefined) === undefined);
  });
});
