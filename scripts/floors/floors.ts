/**
 * Who may lean on whom. A room imports only from rooms on floors below its own; DESIGN section 2 says why.
 * `check-floors.ts` holds the real imports against this, and `docs/rooms.md` shows what they are.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['core'],
  ['database', 'graphql', 'drivers', 'incus', 'ovsdb'],
  // Secrets keeps rows, so it stands above database.
  ['events', 'scopes', 'secrets'],
  ['identity'],
  ['operations', 'quota'],
  ['infrastructure'],
  ['tenancy'],
  ['placement', 'driver-simulated', 'driver-incus', 'driver-ovn'],
  ['network', 'storage'],
  ['compute'],
  ['clusters'],
  ['apps'],
];

/** Beside the house: what tests share, and the tests that cross rooms. */
export const TESTING_ROOM = 'testing';
export const TEST_ROOM = 'test';

export function floorOf(room: string): number | undefined {
  const floor = FLOORS.findIndex((rooms) => rooms.includes(room));
  return floor === -1 ? undefined : floor;
}

/** Apps are one room: standalone is composed of the others. */
export function roomOf(path: string): string | undefined {
  const [top, second] = path.split('/');
  if (top === 'apps' || top === TEST_ROOM) return top;
  return top === 'libs' ? second : undefined;
}

export const isSpec = (path: string): boolean => path.endsWith('.spec.ts');

/** What runs in tests only. */
export function isForTests(path: string): boolean {
  const room = roomOf(path);
  return isSpec(path) || room === TEST_ROOM || room === TESTING_ROOM;
}

export const isGraphqlPart = (path: string): boolean => /(\.graphql|\/api)\.ts$/.test(path);

interface PackageRule {
  packages: RegExp;
  /** What the message calls them. */
  noun: string;
  allowed: (path: string) => boolean;
  where: string;
}

export const PACKAGE_RULES: readonly PackageRule[] = [
  {
    packages: /^(typeorm|@nestjs\/typeorm)(\/|$)/,
    noun: 'the ORM',
    allowed: (path) =>
      roomOf(path) === 'database' || isForTests(path) || /\.(sql|entity)\.ts$/.test(path) || path.includes('/migrations/'),
    where: '*.sql.ts, *.entity.ts, migrations and libs/database',
  },
  {
    packages: /^(@nestjs\/graphql|@nestjs\/mercurius|mercurius|graphql)(\/|$)/,
    noun: 'GraphQL',
    allowed: (path) => ['graphql', 'apps'].includes(roomOf(path) ?? '') || isForTests(path) || isGraphqlPart(path),
    where: '*.graphql.ts, api.ts, libs/graphql and apps',
  },
  {
    packages: /^bullmq(\/|$)/,
    noun: 'the queue',
    allowed: (path) => roomOf(path) === 'operations',
    where: 'libs/operations',
  },
];
