import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, type ConnectionOptions } from 'node:tls';
import { InvalidArgumentError } from '../errors.js';

/** The port that IANA gave to OVSDB (RFC 7047 §6). */
const DEFAULT_PORT = 6640;

/** Where a server listens. */
export type Endpoint =
  | { readonly transport: 'tcp' | 'ssl'; readonly host: string; readonly port: number }
  | { readonly transport: 'unix'; readonly path: string };

/** For `ssl:` endpoints; all texts are PEM. */
export interface TlsOptions {
  /** Authorities that the server's certificate must be signed by; Node's own when absent. */
  readonly ca?: string | readonly string[];
  /** The client's certificate, where the server asks for one. */
  readonly certificate?: string;
  readonly privateKey?: string;
  /**
   * The name that the server's certificate must hold; the endpoint's host when absent. `false` accepts any name that the
   * authority has signed, as Open vSwitch's own programs do: certificates of `ovs-pki` hold no names.
   */
  readonly serverName?: string | false;
}

const NETWORK = /^(tcp|ssl):(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/;

/**
 * Reads the form of ovsdb(7): `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]` or `unix:FILE`; an IPv6 address stands in brackets.
 * @throws InvalidArgumentError
 */
export function parseEndpoint(text: string, path = 'endpoint'): Endpoint {
  if (text.startsWith('unix:') && text.length > 'unix:'.length) return { transport: 'unix', path: text.slice('unix:'.length) };
  const [, transport, host, port] = NETWORK.exec(text) ?? [];
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (transport === undefined || host === undefined || number < 1 || number > 65_535) {
    throw new InvalidArgumentError(path, `"${text}" is not tcp:HOST[:PORT], ssl:HOST[:PORT] or unix:FILE`);
  }
  return { transport: transport as 'tcp' | 'ssl', host: host.replace(/^\[(.*)\]$/, '$1'), port: number };
}

export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.transport === 'unix') return `unix:${endpoint.path}`;
  const host = isIP(endpoint.host) === 6 ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.transport}:${host}:${endpoint.port}`;
}

/** A connected socket; over TLS the server's certificate has been checked. Rejects with the socket's error or the signal's reason. */
export async function openSocket(endpoint: Endpoint, tls: TlsOptions, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const socket = begin(endpoint, tls);
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const connected = endpoint.transport === 'ssl' ? 'secureConnect' : 'connect';
  const onConnected = (): void => resolve(socket);
  const onAbort = (): void => reject(signal.reason as Error);
  socket.once(connected, onConnected).once('error', reject);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await promise;
  } catch (error) {
    // What comes after the first error is of no interest, but would end the process.
    socket.on('error', () => undefined).destroy();
    throw error;
  } finally {
    socket.off(connected, onConnected).off('error', reject);
    signal.removeEventListener('abort', onAbort);
  }
}

function begin(endpoint: Endpoint, tls: TlsOptions): Socket {
  if (endpoint.transport === 'unix') return connectPlain({ path: endpoint.path });
  const { host, port } = endpoint;
  if (endpoint.transport === 'tcp') return connectPlain({ host, port });
  return connectTls({ host, port, ...tlsSettings(host, tls) } as ConnectionOptions);
}

function tlsSettings(host: string, { ca, certificate, privateKey, serverName }: TlsOptions): ConnectionOptions {
  const name = serverName === undefined || serverName === false ? host : serverName;
  return {
    ...(ca === undefined ? {} : { ca: [ca].flat() }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(privateKey === undefined ? {} : { key: privateKey }),
    // An address may not be announced (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_host, certificateShown) => (serverName === false ? undefined : checkServerIdentity(name, certificateShown)),
  };
}
