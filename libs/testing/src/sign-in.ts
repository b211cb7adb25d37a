import { applyRows, ROWS } from '#database';
import { eventsRoom } from '#events';
import {
  Authenticator,
  CommandRunner,
  GroupService,
  identityRoom,
  IssuerKeys,
  IssuerService,
  PrincipalService,
  registerIdentitySections,
  RoleBindingService,
  TokenSignIn,
  TokenVerifier,
  type Access,
  type AuthenticatorOptions,
  type IssuerKeysOptions,
} from '#identity';
import { applyScopes, SCOPES, scopesRoom } from '#scopes';
import { TEST_AUDIENCE, TestIssuer } from './issuer.js';
import { roomDatabase, systemAccess, type RoomDatabase } from './room-database.js';

/** Issuers on this machine are let in, without TLS. */
export const LOOPBACK_POLICY = { loopbackHttp: true, privateNetworks: ['127.0.0.0/8', '::1/128'] };
export const TEST_ORIGIN = { requestId: 'test-request', address: null };

/** Signing in against issuers of the spec's own. */
export interface SignInBench {
  readonly room: RoomDatabase;
  readonly issuers: IssuerService;
  readonly principals: PrincipalService;
  readonly bindings: RoleBindingService;
  readonly groups: GroupService;
  /** Another process's authenticator, on a pool of its own. */
  process(options?: Partial<IssuerKeysOptions> & Pick<AuthenticatorOptions, 'attempts'>): Promise<Authenticator>;
  /** An issuer that answers, trusted by this scope; the system if none is named. */
  issuer(input?: Partial<Parameters<IssuerService['create']>[1]>): Promise<{ server: TestIssuer; id: string }>;
  close(): Promise<void>;
}

export async function signInBench(): Promise<SignInBench> {
  const room = await roomDatabase([eventsRoom, scopesRoom, identityRoom]);
  room.applier.register(ROWS, applyRows);
  room.applier.register(SCOPES, applyScopes);
  registerIdentitySections(room.applier);
  const commands = new CommandRunner(room.database, room.applier, room.log);
  const issuers = new IssuerService(commands, LOOPBACK_POLICY);
  const owner: Access = systemAccess();
  const servers: TestIssuer[] = [];
  return {
    room,
    issuers,
    principals: new PrincipalService(commands),
    bindings: new RoleBindingService(commands),
    groups: new GroupService(commands),
    async process({ attempts, ...options } = {}) {
      const database = await room.another();
      const keys = new IssuerKeys({ policy: LOOPBACK_POLICY, ...options });
      const signIn = new TokenSignIn(database, new TokenVerifier(database, keys));
      return new Authenticator(database, attempts === undefined ? { signIn } : { signIn, attempts });
    },
    async issuer(input = {}) {
      const server = await TestIssuer.start();
      servers.push(server);
      const { result } = await issuers.create(owner, {
        name: `issuer-${servers.length}`,
        url: server.url,
        audience: TEST_AUDIENCE,
        groupsClaim: 'groups',
        ...input,
      });
      return { server, id: result['id'] as string };
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      await room.close();
    },
  };
}
