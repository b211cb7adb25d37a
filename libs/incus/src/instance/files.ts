import type { CallOptions, Session } from '../connection/session.js';

export interface FileOptions {
  /** Owner and group inside of the guest. */
  uid?: number;
  gid?: number;
  /** As `0644`. */
  mode?: string;
}

export interface ReadFile {
  content: Buffer;
  uid: number;
  gid: number;
  mode: string;
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Files inside of an instance (`/1.0/instances/…/files`); containers need not run for it. */
export class InstanceFiles {
  constructor(private readonly session: Session) {}

  /** @throws NOT_FOUND; PROTOCOL when it is larger than 16 MiB */
  async read(instance: string, path: string, options: CallOptions = {}): Promise<ReadFile> {
    const { headers, body } = await this.session.raw({
      ...options,
      method: 'GET',
      path: ['instances', instance, 'files'],
      query: { path },
      limitBytes: MAX_FILE_BYTES,
    });
    return { content: body, uid: Number(headers['x-incus-uid']), gid: Number(headers['x-incus-gid']), mode: String(headers['x-incus-mode']) };
  }

  /** Makes or replaces a file. */
  async write(instance: string, path: string, content: string | Uint8Array, options: CallOptions & FileOptions = {}): Promise<void> {
    await this.post(instance, path, 'file', options, content);
  }

  async makeDirectory(instance: string, path: string, options: CallOptions & FileOptions = {}): Promise<void> {
    await this.post(instance, path, 'directory', options);
  }

  /** A file or an empty folder. @throws NOT_FOUND */
  async delete(instance: string, path: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['instances', instance, 'files'], query: { path } });
  }

  private async post(instance: string, path: string, type: string, options: CallOptions & FileOptions, bytes?: string | Uint8Array): Promise<void> {
    const { uid = 0, gid = 0, mode = type === 'file' ? '0644' : '0755', ...call } = options;
    await this.session.change({
      ...call,
      method: 'POST',
      path: ['instances', instance, 'files'],
      query: { path },
      headers: { 'content-type': 'application/octet-stream', 'x-incus-type': type, 'x-incus-uid': String(uid), 'x-incus-gid': String(gid), 'x-incus-mode': mode },
      ...(bytes === undefined ? {} : { bytes }),
    });
  }
}
