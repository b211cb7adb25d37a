import type { CallOptions, Session } from '../connection/session.js';
import type { Operation } from '../operation/operation.js';
import { tokenText } from './tokens.js';

export interface Certificate {
  name: string;
  type: 'client' | 'server' | 'metrics';
  /** SHA-256 of the certificate, in hexadecimal. */
  fingerprint: string;
  /** PEM */
  certificate: string;
  restricted: boolean;
  projects: string[] | null;
  description: string;
}

/** Whom the cluster trusts (`/1.0/certificates`): what one member learns, all know. */
export class Certificates {
  constructor(private readonly session: Session) {}

  async list(options: CallOptions = {}): Promise<Certificate[]> {
    return this.session.get<Certificate[]>(['certificates'], { ...options, query: { recursion: 1 } });
  }

  /** Asked by one who is trusted. @returns a token that makes one client trusted, once */
  async createToken(name: string, options: CallOptions = {}): Promise<string> {
    const json = { name, type: 'client', token: true };
    const started = await this.session.change({ ...options, method: 'POST', path: ['certificates'], json });
    const { request, fingerprint, addresses, secret, expiresAt } = (started.operation as Operation).metadata as unknown as TokenMetadata;
    return tokenText({ client_name: request.name, fingerprint, addresses, secret, expires_at: expiresAt });
  }

  /** Asked by the new client, over HTTPS with its certificate. @throws FORBIDDEN when the token is not (or no longer) good */
  async trustMe(token: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'POST', path: ['certificates'], json: { type: 'client', trust_token: token } });
  }

  /** @throws NOT_FOUND */
  async delete(fingerprint: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['certificates', fingerprint] });
  }
}

interface TokenMetadata {
  request: { name: string };
  fingerprint: string;
  addresses: string[];
  secret: string;
  expiresAt: string;
}
