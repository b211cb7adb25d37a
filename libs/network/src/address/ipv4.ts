import { invalidInput } from '#core';

/** IPv4 addresses as whole numbers from 0 to 2^32 - 1, and blocks of them in CIDR notation (RFC 4632). */

export const MIN_PREFIX_LENGTH = 16;
export const MAX_PREFIX_LENGTH = 29;
export const MAX_POOLS = 16;

/** An inclusive range of addresses that may be given out. */
export interface AddressPool {
  first: string;
  last: string;
}

export interface Block {
  first: number;
  last: number;
  prefixLength: number;
}

/**
 * Blocks that no tenant's machine can use: this network, links of routers, loopback, link-local, multicast and reserved
 * (RFC 6890).
 */
const LINKS = '100.64.0.0/24';
const UNUSABLE = ['0.0.0.0/8', LINKS, '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'].map((cidr) => {
  const [address, prefixLength] = cidr.split('/') as [string, string];
  return { cidr, ...blockOf(numberOf(address) ?? 0, Number(prefixLength)) };
});

function numberOf(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    // A leading zero means octal to some programs, so it means nothing here.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

function blockOf(address: number, prefixLength: number): Block {
  const size = 2 ** (32 - prefixLength);
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1, prefixLength };
}

/** @throws INVALID_INPUT when the text is no IPv4 address. */
export function parseAddress(text: string, field: string): number {
  const value = numberOf(text);
  if (value === undefined) throw invalidInput(field, 'An IPv4 address is needed here, as in "10.0.0.1".');
  return value;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

export function formatBlock(block: Block): string {
  return `${formatAddress(block.first)}/${block.prefixLength}`;
}

/** @throws INVALID_INPUT saying what a subnet's block must be. */
export function parseBlock(text: string, field: string): Block {
  const match = /^([\d.]{7,15})\/(\d{1,2})$/.exec(text);
  const address = match === null ? undefined : numberOf(match[1] as string);
  const prefixLength = Number(match?.[2]);
  if (address === undefined || prefixLength > 32) {
    throw invalidInput(field, 'An IPv4 block is needed here, as in "10.0.0.0/24".');
  }
  if (prefixLength < MIN_PREFIX_LENGTH || prefixLength > MAX_PREFIX_LENGTH) {
    throw invalidInput(field, `A subnet's prefix has ${MIN_PREFIX_LENGTH} to ${MAX_PREFIX_LENGTH} bits.`, { prefixLength });
  }
  const block = blockOf(address, prefixLength);
  if (block.first !== address) {
    throw invalidInput(field, `"${text}" has bits set below its prefix; "${formatBlock(block)}" is the block it lies in.`);
  }
  const unusable = UNUSABLE.find((other) => overlap(block, other));
  if (unusable !== undefined) throw invalidInput(field, `Machines cannot use addresses of ${unusable.cidr}.`);
  return block;
}

const MAX_TRANSIT_PREFIX_LENGTH = 24;

/**
 * A block between routers, which may hold that of their links: nobody gets an address of those.
 * @throws INVALID_INPUT saying what it must be
 */
export function parseTransitBlock(text: string, field: string): Block {
  const match = /^([\d.]{7,15})\/(\d{1,2})$/.exec(text);
  const address = match === null ? undefined : numberOf(match[1] as string);
  const prefixLength = Number(match?.[2]);
  if (address === undefined || prefixLength < MIN_PREFIX_LENGTH || prefixLength > MAX_TRANSIT_PREFIX_LENGTH) {
    throw invalidInput(field, `An IPv4 block of ${MIN_PREFIX_LENGTH} to ${MAX_TRANSIT_PREFIX_LENGTH} bits is needed here, as in "100.64.0.0/16".`);
  }
  const block = blockOf(address, prefixLength);
  if (block.first !== address) {
    throw invalidInput(field, `"${text}" has bits set below its prefix; "${formatBlock(block)}" is the block it lies in.`);
  }
  const isWithinLinks = holdsAddress(LINKS, formatAddress(block.first)) && holdsAddress(LINKS, formatAddress(block.last));
  const unusable = UNUSABLE.find((other) => overlap(block, other) && (other.cidr !== LINKS || isWithinLinks));
  if (unusable !== undefined) throw invalidInput(field, `Routers cannot use addresses of ${unusable.cidr} here.`);
  return block;
}

export function overlap(one: Pick<Block, 'first' | 'last'>, other: Pick<Block, 'first' | 'last'>): boolean {
  return one.first <= other.last && other.first <= one.last;
}

/** The first usable address, by custom. */
export function defaultGateway(block: Block): number {
  return block.first + 1;
}

/** All usable addresses: neither the block's own nor its broadcast address. The gateway is left out when choosing. */
export function defaultPools(block: Block): AddressPool[] {
  return [{ first: formatAddress(block.first + 1), last: formatAddress(block.last - 1) }];
}

/** Checks a gateway that somebody chose. @throws INVALID_INPUT when it is not a usable address of the block. */
export function checkGateway(block: Block, gateway: number, field: string): void {
  if (gateway > block.first && gateway < block.last) return;
  throw invalidInput(field, `The gateway must be one of ${formatAddress(block.first + 1)} to ${formatAddress(block.last - 1)}.`);
}

/** Checks pools that somebody chose and puts them in order. @throws INVALID_INPUT when one lies outside, is empty or overlaps. */
export function checkPools(block: Block, pools: readonly AddressPool[], field: string): AddressPool[] {
  const ranges = pools.map((pool, index) => {
    const at = `${field}.${index}`;
    const range = { first: parseAddress(pool.first, `${at}.first`), last: parseAddress(pool.last, `${at}.last`), at };
    if (range.first > range.last) throw invalidInput(`${at}.last`, 'A pool\'s last address comes after its first.');
    if (range.first <= block.first || range.last >= block.last) {
      const usable = `${formatAddress(block.first + 1)} to ${formatAddress(block.last - 1)}`;
      throw invalidInput(at, `A pool must lie within ${usable}, the usable addresses of ${formatBlock(block)}.`);
    }
    return range;
  });
  ranges.sort((one, other) => one.first - other.first);
  for (const [index, range] of ranges.entries()) {
    const next = ranges[index + 1];
    if (next !== undefined && overlap(range, next)) throw invalidInput(next.at, 'Pools of one subnet must not overlap.');
  }
  return ranges.map(({ first, last }) => ({ first: formatAddress(first), last: formatAddress(last) }));
}

/**
 * An address to keep from being given out: the last usable one that the pools leave out, else the last of the pools.
 * Undefined where the pools would have nothing left.
 */
export function addressToKeep(block: Block, gateway: number, pools: readonly AddressPool[]): number | undefined {
  const ranges = pools.map((pool) => ({ first: parseAddress(pool.first, 'pools'), last: parseAddress(pool.last, 'pools') }));
  let lastOfPools: number | undefined;
  for (let at = block.last - 1; at > block.first; at -= 1) {
    if (at === gateway) continue;
    const pool = ranges.find(({ first, last }) => at >= first && at <= last);
    if (pool === undefined) return at;
    lastOfPools ??= at;
    at = pool.first;
  }
  return poolSize(pools, formatAddress(gateway)) > 1 ? lastOfPools : undefined;
}

/** How many addresses can be given out: those of the pools without the ones that are kept for something else. */
export function poolSize(pools: readonly AddressPool[], ...kept: readonly (string | null)[]): number {
  const others = kept.map((address) => (address === null ? undefined : numberOf(address)));
  let size = 0;
  for (const pool of pools) {
    const [first, last] = [numberOf(pool.first) ?? 0, numberOf(pool.last) ?? -1];
    size += last - first + 1 - others.filter((at) => at !== undefined && at >= first && at <= last).length;
  }
  return size;
}

/** Whether an address is in a block of any size. Both must be well-formed: rows and checked input. */
export function holdsAddress(cidr: string, address: string): boolean {
  const [first = '', prefixLength] = cidr.split('/');
  const value = numberOf(address) ?? -1;
  const block = blockOf(numberOf(first) ?? 0, Number(prefixLength));
  return value >= block.first && value <= block.last;
}

/** Of a block that is stored, whatever it is for. */
export function blockOfCidr(cidr: string, field: string): Block {
  const [address = '', prefixLength = ''] = cidr.split('/');
  return blockOf(parseAddress(address, field), Number(prefixLength));
}
