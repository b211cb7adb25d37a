import type { FirewallProtocol } from '#drivers';

/** What a part of the packets shows: those protocols that rules name, the rest, or all of them. */
export type Protocol = FirewallProtocol | 'OTHER';

/** A block of IPv4 addresses: the first of them as a number, and the length of its prefix. */
export interface Block {
  readonly first: number;
  readonly prefixLength: number;
}

/** The packets of one protocol, to these ports of the receiver, with the other end in this block. */
export interface Packets {
  readonly protocol: Protocol;
  /** Both ends included; all of them where the protocol has none. */
  readonly ports: readonly [from: number, to: number];
  readonly remote: Block;
}

export const ALL_PORTS: Packets['ports'] = [0, 65_535];
export const ANYWHERE: Block = { first: 0, prefixLength: 0 };

const PROTOCOLS = ['TCP', 'UDP', 'ICMP', 'OTHER'] as const;

/** @param cidr of IPv4; bits behind the prefix are ignored */
export function blockOf(cidr: string): Block {
  const [address = '', length = ''] = cidr.split('/');
  const prefixLength = Number(length);
  const bits = address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0);
  const size = sizeOf(prefixLength);
  return { first: Math.floor(bits / size) * size, prefixLength };
}

export function cidrOf({ first, prefixLength }: Block): string {
  return `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')}/${prefixLength}`;
}

/** What is left of these packets without the others, as parts that have none in common. */
export function without(packets: Packets, others: Packets): Packets[] {
  if (packets.protocol === 'ANY' && others.protocol !== 'ANY') {
    return PROTOCOLS.flatMap((protocol) => without({ ...packets, protocol }, others));
  }
  if (others.protocol !== 'ANY' && packets.protocol !== others.protocol) return [packets];
  const [from, to] = packets.ports;
  const [otherFrom, otherTo] = others.ports;
  const remotes = blockWithout(packets.remote, others.remote);
  const apart = otherTo < from || otherFrom > to;
  if (apart || (remotes.length === 1 && remotes[0] === packets.remote)) return [packets];
  const left: Packets[] = [];
  if (from < otherFrom) left.push({ ...packets, ports: [from, otherFrom - 1] });
  if (to > otherTo) left.push({ ...packets, ports: [otherTo + 1, to] });
  const ports = [Math.max(from, otherFrom), Math.min(to, otherTo)] as const;
  return [...left, ...remotes.map((remote) => ({ ...packets, ports, remote }))];
}

/** The halves that do not hold the other block, on the way down to it. @returns the block itself where they are apart */
function blockWithout(block: Block, other: Block): Block[] {
  if (holds(other, block)) return [];
  if (!holds(block, other)) return [block];
  return Array.from({ length: other.prefixLength - block.prefixLength }, (_each, index) => {
    const prefixLength = block.prefixLength + index + 1;
    const size = sizeOf(prefixLength);
    const half = Math.floor(other.first / size);
    return { first: (half % 2 === 0 ? half + 1 : half - 1) * size, prefixLength };
  });
}

function holds(block: Block, other: Block): boolean {
  const size = sizeOf(block.prefixLength);
  return block.prefixLength <= other.prefixLength && Math.floor(other.first / size) * size === block.first;
}

const sizeOf = (prefixLength: number): number => 2 ** (32 - prefixLength);
