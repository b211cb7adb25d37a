import { MuonError } from '#core';
import { CallTime } from './backend.js';
import { Mark, partOf, type ExternalIds } from './marks.js';
import type { Parts } from './part/parts.js';
import { specificationOf } from './specification.js';

/**
 * Tells whether parts are as they were made: what was told of a part stands at its main row, and to tell it again would
 * change nothing. So whatever a driver writes is compared, and nothing else.
 */
export class Intact {
  /** @param parts in a store where nothing is made */
  constructor(
    private readonly parts: Parts,
    private readonly installationId: string,
  ) {}

  /** @param marks of the part's main row. Of other installations' parts nobody here knows. */
  async isIntact(marks: ExternalIds): Promise<boolean> {
    const part = partOf(marks);
    if (part === undefined || marks.get(Mark.INSTALLATION) !== this.installationId) return true;
    const specification = specificationOf(marks);
    if (specification === undefined) return false;
    try {
      const time = new CallTime(Infinity, NEVER);
      return (await this.parts.ensure(time, part.kind, specification)).state === 'DONE';
    } catch (error) {
      // What it builds on is not there, or somebody has changed what was told of it.
      if (error instanceof MuonError && error.code !== 'INTERNAL') return false;
      throw error;
    }
  }
}

const NEVER = new AbortController().signal;
