/**
 * What every resolver receives: one fresh object for each request, for each operation on a socket, and for each event
 * of a subscription. Nothing is shared between two of them but the authentication of the one caller they belong to.
 */

/** Who presented a credential, and until when it holds. The app's authenticator makes it; `principal` is its own type. */
export interface Authentication {
  /** Absent for a caller who presented nothing. */
  readonly principal?: object;
  /** Sockets are closed at this moment. */
  readonly expiresAt?: Date;
}

/** What a client presents: the header of an HTTP request, or the parameters that open a socket. */
export interface PresentedCredential {
  /** The value of `Authorization`, as in `Bearer …`. */
  readonly authorization: string | undefined;
  readonly remoteAddress: string;
  readonly userAgent: string | undefined;
  readonly requestId: string;
}

/** Port to the room that knows identities; the app names its implementation in `graphqlModule`. */
export interface Authenticator {
  /**
   * An absent credential yields an authentication without a principal.
   * @throws MuonError UNAUTHENTICATED for one that is wrong, RATE_LIMITED or UNAVAILABLE as fits.
   */
  authenticate(presented: PresentedCredential): Promise<Authentication>;
  /** Which of these, all held by open sockets, have been revoked since; asked once a second for all sockets together. */
  findInvalid(authentications: readonly Authentication[]): Promise<readonly Authentication[]>;
}

/** Port to whoever counts what requests cost; the app may name its implementation in `graphqlModule`. */
export interface RequestMeter {
  /**
   * Called once a request, before it runs, and for each event of a subscription, for callers who have signed in.
   * @param cost of the request, see `requestCost`
   * @returns undefined when there is nothing to wait for
   * @throws MuonError RATE_LIMITED with `data.retryAfterMs`
   */
  charge(principal: object, cost: number): Promise<void> | undefined;
}

export interface GraphqlContext {
  readonly requestId: string;
  readonly transport: 'http' | 'websocket';
  readonly principal: object | undefined;
  readonly remoteAddress: string;
  readonly userAgent: string | undefined;
  /** From the `Idempotency-Key` header; checked, 1 to 255 printable ASCII characters. */
  readonly idempotencyKey: string | undefined;
  /** Aborted when the subscription ends; for queries and mutations it never is. */
  readonly signal: AbortSignal;
}
