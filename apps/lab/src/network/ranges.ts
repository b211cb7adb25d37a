import { BlockList } from 'node:net';
import { Failure } from '../failure.js';
import { cidrOf, isLabLink, NETWORKS } from '../layout.js';
import { listRanges, type Route } from './links.js';

/** Where the machine uses a range of the lab, by a route or an address of a link that is not the lab's. */
export function collisions(routes: readonly Route[]): string[] {
  return NETWORKS.flatMap((network) => {
    const range = cidrOf(network);
    return routes
      .filter(({ dst, dev }) => dst !== 'default' && !isLabLink(dev ?? '') && overlap(dst, range))
      .map(({ dst, dev }) => `${range} is in use here: ${dst} on ${dev ?? 'no device'}.`);
  });
}

/** @throws Failure when a range of the lab is taken: a machine's own traffic would end in the lab */
export async function requireFreeRanges(): Promise<void> {
  const found = collisions(await listRanges());
  if (found.length > 0) throw new Failure(`The lab's addresses are taken.\n${[...new Set(found)].join('\n')}`);
}

/** One of two ranges that overlap begins within the other. */
function overlap(one: string, other: string): boolean {
  const [oneAddress = '', oneLength = '32'] = one.split('/');
  const [otherAddress = '', otherLength = '32'] = other.split('/');
  const within = (address: string, range: string, length: string): boolean => {
    const list = new BlockList();
    list.addSubnet(range, Number(length), 'ipv4');
    return list.check(address, 'ipv4');
  };
  return within(oneAddress, otherAddress, otherLength) || within(otherAddress, oneAddress, oneLength);
}
