import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import type { CallOptions, ChangeOptions, Session, Tagged } from '../connection/session.js';
import type { Bytes } from '../connection/transport.js';
import type { RunningOperation } from '../operation/running-operation.js';
import type { Image, ImageAlias, ImageFiles, ImageSettings, ImageSource } from './image.js';

const UPLOAD_TIMEOUT_MS = 600_000;

/** Images and their aliases (`/1.0/images`). Members fetch what they lack from each other at first use. */
export class Images {
  constructor(private readonly session: Session) {}

  async list(options: CallOptions = {}): Promise<Image[]> {
    return this.session.get<Image[]>(['images'], { ...options, query: { recursion: 1 } });
  }

  async get(fingerprint: string, options: CallOptions = {}): Promise<Tagged<Image>> {
    return this.session.getTagged<Image>(['images', fingerprint], options);
  }

  /**
   * The end of the operation has the fingerprint in `metadata.fingerprint`. Give it its alias afterwards, with `createAlias`.
   * @throws CONFLICT, from the wait, when there is an image with this fingerprint
   */
  async upload(files: ImageFiles, options: CallOptions & { properties?: Record<string, string> } = {}): Promise<RunningOperation> {
    const { properties = {}, timeoutMs = UPLOAD_TIMEOUT_MS, ...call } = options;
    const description = { 'x-incus-properties': new URLSearchParams(properties).toString() };
    const content =
      'unified' in files
        ? { type: 'application/octet-stream', bytes: createReadStream(files.unified) as Bytes, name: { 'x-incus-filename': basename(files.unified) } }
        : { ...multipart({ metadata: files.metadata, rootfs: files.rootfs }), name: {} };
    return this.session.change({
      ...call,
      timeoutMs,
      method: 'POST',
      path: ['images'],
      headers: { 'content-type': content.type, ...description, ...content.name },
      bytes: content.bytes,
    });
  }

  /** From another server, or of an instance. */
  async copy(source: ImageSource, settings: ImageSettings = {}, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: ['images'], json: { ...settings, source } });
  }

  /** Fetches it again from where it came. */
  async refresh(fingerprint: string, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: ['images', fingerprint, 'refresh'] });
  }

  async patch(fingerprint: string, settings: ImageSettings, { etag, ...options }: ChangeOptions = {}): Promise<void> {
    const headers: Record<string, string> = etag === undefined ? {} : { 'if-match': etag };
    await this.session.change({ ...options, method: 'PATCH', path: ['images', fingerprint], headers, json: settings });
  }

  async delete(fingerprint: string, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'DELETE', path: ['images', fingerprint] });
  }

  async aliases(options: CallOptions = {}): Promise<ImageAlias[]> {
    return this.session.get<ImageAlias[]>(['images', 'aliases'], { ...options, query: { recursion: 1 } });
  }

  /** @throws NOT_FOUND */
  async alias(name: string, options: CallOptions = {}): Promise<ImageAlias> {
    return this.session.get<ImageAlias>(['images', 'aliases', name], options);
  }

  /** @throws CONFLICT when there is one of that name */
  async createAlias(name: string, fingerprint: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'POST', path: ['images', 'aliases'], json: { name, target: fingerprint } });
  }

  /** Lets an alias that is there mean another image. */
  async moveAlias(name: string, fingerprint: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'PUT', path: ['images', 'aliases', name], json: { target: fingerprint, description: '' } });
  }

  async deleteAlias(name: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['images', 'aliases', name] });
  }
}

/** The files one after another, read as they are sent (RFC 7578). */
function multipart(files: Record<string, string>): { type: string; bytes: Bytes } {
  const boundary = randomUUID();
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (const [name, path] of Object.entries(files)) {
      yield Buffer.from(
        `--${boundary}\r\ncontent-disposition: form-data; name="${name}"; filename="${name}"\r\ncontent-type: application/octet-stream\r\n\r\n`,
      );
      for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) yield chunk;
      yield Buffer.from('\r\n');
    }
    yield Buffer.from(`--${boundary}--\r\n`);
  }
  return { type: `multipart/form-data; boundary=${boundary}`, bytes: parts() };
}
