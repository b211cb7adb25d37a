import { MuonError } from '#core';

/** What one request and one process will bear. Each has a default; answers name the one that was exceeded. */
export interface GraphqlLimits {
  /** Bytes of an HTTP request's body, and of one message on a socket. */
  bodyBytes: number;
  /** Characters of a document. */
  documentLength: number;
  /** Tokens of a document. */
  tokens: number;
  /** Levels of fields below the operation; introspection is counted apart. */
  depth: number;
  /** Fields that an answer may have at most, by the sizes of the pages it asks for. */
  cost: number;
  /** Parsed documents that a process keeps. */
  documents: number;
  /** Characters of all the documents it keeps; in memory each takes some 100 to 250 bytes. */
  documentCharacters: number;
  /** How busy a process may be, from 0 to 1, and still compile queries that come often. */
  compileUtilization: number;
  /** Open sockets of a process. */
  sockets: number;
  /** Operations running at once on one socket. */
  subscriptionsPerSocket: number;
  /** Bytes that may wait for a socket's client to read before the socket is given up. */
  socketBufferBytes: number;
}

export const DEFAULT_LIMITS: Readonly<GraphqlLimits> = {
  bodyBytes: 1_048_576,
  documentLength: 32_768,
  tokens: 2000,
  depth: 12,
  cost: 10_000,
  documents: 256,
  documentCharacters: 500_000,
  compileUtilization: 0.8,
  sockets: 2000,
  subscriptionsPerSocket: 100,
  socketBufferBytes: 4_194_304,
};

/** The refusal of what is too much, with the numbers. */
export function limitExceeded(limit: string, allowed: number, found?: number): MuonError {
  const amount = found === undefined ? `more than ${allowed}` : `${found} of at most ${allowed}`;
  return new MuonError('LIMIT_EXCEEDED', `The request exceeds the limit of ${limit}: ${amount}.`, {
    data: found === undefined ? { limit, allowed } : { limit, allowed, found },
  });
}
