import { LimitError, ProtocolError } from '../errors.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
/** Space, tab, line feed, carriage return: what JSON allows between values. */
const WHITE_SPACE: readonly number[] = [0x20, 0x09, 0x0a, 0x0d];

/**
 * Cuts a stream into JSON objects. OVSDB sends them one after the other without anything between (RFC 7047 §4), so an
 * object's end is found by counting brackets outside of strings. Each byte is looked at once, however the stream was
 * chunked. Looking at bytes is enough: within UTF-8 no byte of a longer character looks like one of ASCII.
 */
export class MessageFramer {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** The beginning of a message whose end has not come; grows by doubling. */
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @param maxBytes the longest message that is accepted */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The messages that this chunk completes, in order.
   * @throws LimitError when a message is too long, ProtocolError when something else than an object comes. The framer
   * cannot be used after that.
   */
  push(chunk: Uint8Array): string[] {
    const messages: string[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number;
      if (this.#inString) this.#withinString(byte);
      else if (this.#depth > 0) {
        if (byte === QUOTE) this.#inString = true;
        else if (byte === OPENING_BRACE || byte === OPENING_BRACKET) this.#depth += 1;
        else if ((byte === CLOSING_BRACE || byte === CLOSING_BRACKET) && --this.#depth === 0) messages.push(this.#take(chunk.subarray(start, at + 1)));
      } else if (byte === OPENING_BRACE) {
        start = at;
        this.#depth = 1;
      } else if (!WHITE_SPACE.includes(byte)) {
        throw new ProtocolError(`a JSON object was expected, but byte 0x${byte.toString(16)} came`);
      }
    }
    if (this.#depth > 0) this.#hold(chunk.subarray(start));
    return messages;
  }

  #withinString(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
  }

  #take(end: Uint8Array): string {
    let bytes = end;
    if (this.#heldBytes > 0) {
      this.#hold(end);
      bytes = this.#held.subarray(0, this.#heldBytes);
      this.#held = Buffer.alloc(0);
      this.#heldBytes = 0;
    }
    this.#checkLength(bytes.length);
    try {
      return this.#decoder.decode(bytes);
    } catch (error) {
      throw new ProtocolError('a message is not UTF-8', error);
    }
  }

  #hold(bytes: Uint8Array): void {
    const length = this.#heldBytes + bytes.length;
    this.#checkLength(length);
    if (length > this.#held.length) {
      const larger = Buffer.alloc(Math.min(Math.max(length, 2 * this.#held.length), this.#maxBytes));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = length;
  }

  #checkLength(bytes: number): void {
    if (bytes > this.#maxBytes) throw new LimitError('maxMessageBytes', this.#maxBytes, 'the server sends a message that is too long');
  }
}
