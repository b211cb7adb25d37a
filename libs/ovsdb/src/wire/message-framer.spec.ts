import { describe, expect, it, test } from 'vitest';
import { LimitError, ProtocolError } from '../errors.js';
import { seededRandom } from '../testing/random.js';
import { MessageFramer } from './message-framer.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');

function framed(chunks: readonly Uint8Array[], maxBytes = 1_000_000): string[] {
  const framer = new MessageFramer(maxBytes);
  return chunks.flatMap((chunk) => framer.push(chunk));
}

const one = (text: string): Uint8Array[] => [...bytes(text)].map((byte) => Uint8Array.of(byte));

const messages: [what: string, text: string][] = [
  ['nested brackets', '{"a":[{"b":[[]]},{}]}'],
  ['brackets in strings', '{"a":"}{][","{":"]"}'],
  ['escaped quotes and backslashes', String.raw`{"a":"\"}\\","b\\\"":"\\"}`],
  ['characters of two, three and four bytes', '{"ä":"€ 𝄞 ¢"}'],
  ['white space within', '{ "a" :\n[ 1 ,\t2 ]\r\n}'],
];

describe.each(messages)('%s', (_what, text) => {
  test('in one chunk', () => expect(framed([bytes(text)])).toEqual([text]));
  test('byte by byte', () => expect(framed(one(text))).toEqual([text]));
  test('two at once, and white space around', () => expect(framed([bytes(` ${text}\n${text}\r\t`)])).toEqual([text, text]));
});

/** Objects of random shape, with everything in their strings that could be taken for structure. */
function randomMessage(random: () => number): string {
  const letters = ['{', '}', '[', ']', '"', '\\', '\\"', ',', ':', 'a', 'é', '€', '𝄞', '\n', ' ', '\u0000'];
  const integer = (below: number): number => Math.floor(random() * below);
  const text = (): string => Array.from({ length: integer(12) }, () => letters[integer(letters.length)]).join('');
  const value = (depth: number): unknown => {
    switch (integer(depth > 4 ? 3 : 5)) {
      case 0:
        return text();
      case 1:
        return integer(1_000_000) / 7;
      case 2:
        return [true, false, null][integer(3)];
      case 3:
        return Array.from({ length: integer(5) }, () => value(depth + 1));
      default:
        return Object.fromEntries(Array.from({ length: integer(5) }, () => [text(), value(depth + 1)]));
    }
  };
  return JSON.stringify({ [text()]: value(0), [text()]: value(0) }, undefined, integer(3));
}

test.each(Array.from({ length: 40 }, (_, seed) => seed))('cut anywhere, the same messages come out (seed %i)', (seed) => {
  const random = seededRandom(seed);
  const sent = Array.from({ length: 200 }, () => randomMessage(random));
  const stream = bytes(sent.map((text) => text + ['', ' ', '\n'][Math.floor(random() * 3)]).join(''));
  const chunks: Uint8Array[] = [];
  const longest = 1 + Math.floor(random() ** 3 * 20_000);
  for (let at = 0; at < stream.length; ) {
    const end = Math.min(stream.length, at + 1 + Math.floor(random() * longest));
    chunks.push(stream.subarray(at, end));
    at = end;
  }
  expect(framed(chunks)).toEqual(sent);
});

test('a message that was cut is not changed by what happens to its chunk later', () => {
  const framer = new MessageFramer(100);
  const chunk = bytes('{"a":1');
  framer.push(chunk);
  chunk.fill(0);
  expect(framer.push(bytes('}'))).toEqual(['{"a":1}']);
});

describe('the longest message', () => {
  it('may have exactly that many bytes, whole or cut', () => {
    const text = '{"a":"€"}';
    expect(framed([bytes(text)], 11)).toEqual([text]);
    expect(framed(one(text), 11)).toEqual([text]);
  });
  it('is refused with one more, whole or cut', () => {
    const tooLong = new LimitError('maxMessageBytes', 10, 'the server sends a message that is too long');
    expect(() => framed([bytes('{"a":"€"}')], 10)).toThrow(tooLong);
    expect(() => framed(one('{"a":"€"}'), 10)).toThrow(tooLong);
  });
  it('is refused before its end has come', () => {
    expect(() => framed([bytes('{"a":"'), Buffer.alloc(20, 'x')], 10)).toThrow(LimitError);
  });
  it('says nothing about how many there are in all', () => {
    expect(framed(one('{"a":1}'.repeat(100)), 7)).toHaveLength(100);
  });
});

test.each(['[1]', '"a"', '}', 'null', '{"a":1},{"b":2}', '\uFEFF{}'])('refuses what is no object: %s', (text) => {
  expect(() => framed([bytes(text)])).toThrow(ProtocolError);
});

test('refuses what is not UTF-8', () => {
  expect(() => framed([Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])])).toThrow('a message is not UTF-8');
});
