import type { Role } from '#identity';

/** Somebody whom the development issuer signs in, without a password: whoever reaches it may be anybody. */
export interface Person {
  subject: string;
  name: string;
  email: string;
  /** What its tokens claim; the group of this name holds the role. */
  group: string;
  holds: { role: Role; on: 'SYSTEM' | 'TENANT' | 'PROJECT' };
}

/** What the people of the development issuer share, besides the system. */
export const EXAMPLE = { tenant: 'example', project: 'web' } as const;

export const PEOPLE: readonly Person[] = [
  { subject: 'olga', name: 'Olga Operator', email: 'olga@example.com', group: 'system-owners', holds: { role: 'OWNER', on: 'SYSTEM' } },
  { subject: 'theo', name: 'Theo Tenant', email: 'theo@example.com', group: 'example-owners', holds: { role: 'OWNER', on: 'TENANT' } },
  { subject: 'carla', name: 'Carla Contributor', email: 'carla@example.com', group: 'web-contributors', holds: { role: 'CONTRIBUTOR', on: 'PROJECT' } },
  { subject: 'vera', name: 'Vera Viewer', email: 'vera@example.com', group: 'example-viewers', holds: { role: 'VIEWER', on: 'TENANT' } },
];

/** What somebody may do, in words for the page to pick from. */
export function describeHolding({ holds: { role, on } }: Person): string {
  const where = { SYSTEM: 'the system', TENANT: `the tenant “${EXAMPLE.tenant}”`, PROJECT: `the project “${EXAMPLE.project}” of “${EXAMPLE.tenant}”` };
  return `${role.toLowerCase()} of ${where[on]}`;
}
