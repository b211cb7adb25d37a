import { describe, expect, it, test } from 'vitest';
import { InvalidArgumentError } from '../errors.js';
import { formatEndpoint, parseEndpoint } from './endpoint.js';

test.each([
  ['tcp:127.0.0.1:6641', { transport: 'tcp', host: '127.0.0.1', port: 6641 }],
  ['ssl:db.example.test:6641', { transport: 'ssl', host: 'db.example.test', port: 6641 }],
  ['ssl:[fd00::1]:1', { transport: 'ssl', host: 'fd00::1', port: 1 }],
  ['unix:/run/openvswitch/db.sock', { transport: 'unix', path: '/run/openvswitch/db.sock' }],
])('%s', (text, endpoint) => {
  expect(parseEndpoint(text)).toEqual(endpoint);
  expect(formatEndpoint(parseEndpoint(text))).toBe(text);
});

describe('a port that is left out', () => {
  it('is that of RFC 7047', () => expect(formatEndpoint(parseEndpoint('tcp:[::1]'))).toBe('tcp:[::1]:6640'));
});

test.each(['', 'unix:', 'tcp:', 'tcp:host:0', 'tcp:host:65536', 'tcp:::1:6640', 'http://host', 'ptcp:6640', 'ssl:host:port'])('refused: "%s"', (text) => {
  expect(() => parseEndpoint(text, 'endpoints.1')).toThrow(InvalidArgumentError);
  expect(() => parseEndpoint(text, 'endpoints.1')).toThrow('endpoints.1: ');
});
