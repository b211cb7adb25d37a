import { run } from '../machine/command.js';

export interface Link {
  ifname: string;
  /** Has `UP` when it was set up, whatever the other end does. */
  flags: string[];
  mtu: number;
  /** The bridge that it is in. */
  master?: string;
}

export interface Route {
  /** `default`, an address, or a range. */
  dst: string;
  dev?: string;
}

interface AddressedLink {
  ifname: string;
  addr_info: { family: string; local: string; prefixlen: number }[];
}

/** Links of the machine's own network name space. */
export async function listLinks(): Promise<Link[]> {
  return JSON.parse(await run('ip', ['-json', 'link', 'show'])) as Link[];
}

/** IPv4 routes of all tables, and the addresses of the machine as ranges. */
export async function listRanges(): Promise<Route[]> {
  const [routes, links] = await Promise.all([
    run('ip', ['-json', '-4', 'route', 'show', 'table', 'all']),
    run('ip', ['-json', '-4', 'address', 'show']),
  ]);
  const addresses = (JSON.parse(links) as AddressedLink[]).flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ local, prefixlen }) => ({ dst: `${local}/${prefixlen}`, dev: ifname })),
  );
  return [...(JSON.parse(routes) as Route[]), ...addresses];
}
