import type { CallOptions, Session, Tagged } from '../connection/session.js';

/** `GET /1.0`; strangers see only a part of it. */
export interface Server {
  config?: Record<string, string>;
  api_extensions: string[];
  api_status: string;
  api_version: string;
  auth: 'trusted' | 'untrusted';
  environment?: ServerEnvironment;
}

export interface ServerEnvironment {
  addresses: string[];
  architectures: string[];
  /** PEM, and its SHA-256. */
  certificate: string;
  certificate_fingerprint: string;
  kernel_version: string;
  os_name: string;
  os_version: string;
  server: string;
  server_clustered: boolean;
  server_name: string;
  server_version: string;
  /** Drivers of the pools in use, with `|` between. */
  storage: string;
}

/** The member that is asked, and its settings (`/1.0`). */
export class Servers {
  constructor(private readonly session: Session) {}

  async get(options: CallOptions = {}): Promise<Tagged<Server>> {
    return this.session.getTagged<Server>([], options);
  }

  /**
   * Incus 6.0 forgets a member's addresses when it refuses a value here, and comes back only with help from outside
   * (https://linuxcontainers.org/incus/docs/main/server_config/ has what is allowed): check values before, change each
   * once, and let no tenant's text reach this.
   */
  async patchConfig(config: Record<string, string>, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'PATCH', path: [], json: { config } });
  }
}
