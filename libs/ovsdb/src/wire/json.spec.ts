import { expect, test } from 'vitest';
import { bigintToJson, formatJson, parseJson } from './json.js';

test('integers of 64 bits come through exactly, and others stay numbers', () => {
  const text = '{"a":9223372036854775807,"b":[-9223372036854775808,9007199254740991,9007199254740993],"c":1.2345678901234567,"d":1e20,"e":"9007199254740993"}';
  expect(parseJson(text)).toEqual({
    a: 9223372036854775807n,
    b: [-9223372036854775808n, 9007199254740991, 9007199254740993n],
    c: 1.2345678901234567,
    d: 1e20,
    e: '9007199254740993',
  });
});

test('and go out exactly', () => {
  expect(JSON.stringify([bigintToJson(9223372036854775807n), bigintToJson(-1n)])).toBe('[9223372036854775807,-1]');
  expect(formatJson({ a: [9223372036854775807n, 1, null] })).toBe('{"a":[9223372036854775807,1,null]}');
});
