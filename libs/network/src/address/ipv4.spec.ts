import { describe, expect, it } from 'vitest';
import { addressToKeep, checkGateway, checkPools, defaultPools, formatAddress, formatBlock, parseAddress, parseBlock, poolSize } from './ipv4.js';

describe('IPv4', () => {
  it.each(['10.0.0.0', '0.0.0.0', '255.255.255.255', '192.168.1.254'])('reads and writes %s', (text) => {
    expect(formatAddress(parseAddress(text, 'input'))).toBe(text);
  });

  it.each(['10.0.0', '10.0.0.256', '10.0.0.01', '10.0.0.0.0', '::1', '', ' 10.0.0.1', '10.0.0.-1', '1e1.0.0.0'])('refuses "%s" as an address', (text) => {
    expect(() => parseAddress(text, 'input.gateway')).toThrowError(expect.objectContaining({ code: 'INVALID_INPUT', field: 'input.gateway' }));
  });

  it.each(['10.0.0.0/16', '10.255.255.248/29', '172.16.4.0/22'])('reads and writes the block %s', (text) => {
    expect(formatBlock(parseBlock(text, 'cidr'))).toBe(text);
  });

  it.each([
    ['10.0.0.0/15', '16 to 29'],
    ['10.0.0.0/30', '16 to 29'],
    ['10.0.0.0/33', 'IPv4 block'],
    ['10.0.0.0', 'IPv4 block'],
    ['10.0.0.5/24', '"10.0.0.0/24" is the block it lies in'],
    ['127.0.0.0/24', '127.0.0.0/8'],
    ['169.254.0.0/16', '169.254.0.0/16'],
    ['230.0.0.0/24', '224.0.0.0/3'],
    ['fd00::/64', 'IPv4 block'],
  ])('refuses the block %s and says what is right', (text, hint) => {
    expect(() => parseBlock(text, 'input.cidr')).toThrowError(hint);
  });

  const block = parseBlock('10.0.0.0/24', 'cidr');

  it('leaves out the block\'s own address, its broadcast address and the gateway', () => {
    expect(defaultPools(block)).toEqual([{ first: '10.0.0.1', last: '10.0.0.254' }]);
    expect(poolSize(defaultPools(block), '10.0.0.1')).toBe(253);
    expect(poolSize([{ first: '10.0.0.10', last: '10.0.0.10' }], '10.0.0.1')).toBe(1);
    expect(() => checkGateway(block, parseAddress('10.0.0.255', ''), 'input.gateway')).toThrowError('10.0.0.1 to 10.0.0.254');
  });

  it.each([
    ['10.0.0.0/24', '10.0.0.1', undefined, '10.0.0.254', 252],
    ['10.0.0.0/29', '10.0.0.1', undefined, '10.0.0.6', 4],
    ['10.0.0.0/29', '10.0.0.6', undefined, '10.0.0.5', 4],
    // What the pools leave out comes first.
    ['10.0.0.0/24', '10.0.0.1', [['10.0.0.100', '10.0.0.254']], '10.0.0.99', 155],
    ['10.0.0.0/24', '10.0.0.99', [['10.0.0.2', '10.0.0.9'], ['10.0.0.100', '10.0.0.254']], '10.0.0.98', 163],
    ['10.0.0.0/29', '10.0.0.2', [['10.0.0.1', '10.0.0.4'], ['10.0.0.5', '10.0.0.6']], '10.0.0.6', 4],
    ['10.0.0.0/29', '10.0.0.6', [['10.0.0.1', '10.0.0.5']], '10.0.0.5', 4],
    ['10.0.0.0/29', '10.0.0.1', [['10.0.0.2', '10.0.0.2']], '10.0.0.6', 1],
  ])('of %s with the gateway %s and the pools %j it keeps %s', (cidr, gateway, pools, kept, left) => {
    const of = parseBlock(cidr, 'cidr');
    const ranges = pools?.map(([first, last]) => ({ first: first as string, last: last as string })) ?? defaultPools(of);
    const address = formatAddress(addressToKeep(of, parseAddress(gateway, ''), ranges) ?? 0);
    expect([address, poolSize(ranges, gateway, address)]).toEqual([kept, left]);
  });

  it('puts pools in order and refuses wrong ones', () => {
    const two = [{ first: '10.0.0.100', last: '10.0.0.200' }, { first: '10.0.0.2', last: '10.0.0.9' }];
    expect(checkPools(block, two, 'pools')).toEqual([two[1], two[0]]);
    expect(() => checkPools(block, [{ first: '10.0.0.9', last: '10.0.0.2' }], 'input.pools')).toThrowError(expect.objectContaining({ field: 'input.pools.0.last' }));
    expect(() => checkPools(block, [{ first: '10.0.0.0', last: '10.0.0.2' }], 'input.pools')).toThrowError('10.0.0.1 to 10.0.0.254');
    expect(() => checkPools(block, [...two, { first: '10.0.0.5', last: '10.0.0.20' }], 'input.pools')).toThrowError('must not overlap');
  });
});
