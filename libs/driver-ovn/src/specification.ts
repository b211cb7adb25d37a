import type { Ownership } from '#drivers';
import { Mark, revisionOf, type ExternalIds } from './marks.js';

interface Told {
  revision: number;
  ownership?: Ownership;
}

/** The mark that keeps what was told of a part, so that anybody can see whether its rows still say that. */
export function told({ revision: _revision, ownership: _ownership, ...rest }: Told): Record<string, string> {
  return { [Mark.SPECIFICATION]: JSON.stringify(rest) };
}

/** What was told of the part that these are the marks of, as it came in. @returns undefined where somebody has taken that away */
export function specificationOf(marks: ExternalIds): object | undefined {
  const revision = revisionOf(marks);
  if (revision < 0) return undefined;
  const mark = (name: 'INSTALLATION' | 'TENANT' | 'PROJECT'): string => marks.get(Mark[name]) ?? '';
  const ownership: Ownership = { installationId: mark('INSTALLATION'), tenantId: mark('TENANT'), projectId: mark('PROJECT') };
  try {
    return { ...(JSON.parse(marks.get(Mark.SPECIFICATION) ?? '') as object), revision, ownership };
  } catch {
    return undefined;
  }
}
