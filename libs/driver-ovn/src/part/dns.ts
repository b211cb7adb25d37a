import { notFound } from '#core';
import { Transaction, type Outcome } from '#ovsdb';
import type { CallTime, Store } from '../backend.js';
import type { Draft } from '../draft.js';
import type { Network } from '../input.js';
import { carries, Mark, marksOf, type ExternalIds } from '../marks.js';
import { rowUuid } from '../names.js';
import type { Northbound } from '../schema/northbound.js';

/** A port or load balancer that a name leads to. */
export interface Holder {
  id: string;
  name: string;
  address: string;
}

/** Tables of those that may have a name. */
const HOLDER_TABLES = { Logical_Switch_Port: 'PORT', Load_Balancer: 'LOAD_BALANCER' } as const;
type HolderTable = keyof typeof HOLDER_TABLES;
const TABLES = Object.keys(HOLDER_TABLES) as HolderTable[];

type Marked = Pick<Northbound['DNS'], 'external_ids'>;
type HolderRows = ReadonlyMap<HolderTable, readonly Marked[]>;

/** What a network's names are made of. */
export interface DnsRows {
  records: Northbound['DNS'] | undefined;
  holders: HolderRows;
}

export const dnsUuid = (networkId: string): string => rowUuid('DNS', networkId);

/** The marks of a row that is found by a name. */
export function nameMarks({ name, address }: { name?: string | undefined; address: string }): Record<string, string> {
  return { [Mark.ADDRESS]: address, [Mark.NAME]: name ?? '' };
}

export function holderOf(marks: ExternalIds | undefined): Holder | undefined {
  const [id, name, address] = [Mark.ID, Mark.NAME, Mark.ADDRESS].map((mark) => marks?.get(mark) ?? '') as [string, string, string];
  return name === '' || address === '' ? undefined : { id, name, address };
}

/** Adds what reads a network's names. @returns what takes them out of the outcome */
export function readDns(reading: Transaction<Northbound>, networkId: string): (found: Outcome) => DnsRows {
  const records = reading.select('DNS', [['_uuid', '==', dnsUuid(networkId)]]);
  const holders = readHolders(reading, networkId);
  return (found) => ({ records: found.of(records)[0], holders: holders(found) });
}

function readHolders(reading: Transaction<Northbound>, networkId: string, name?: string): (found: Outcome) => HolderRows {
  const selects = TABLES.map((table) => [table, reading.select(table, [holdersOf(table, networkId, name)], ['external_ids'])] as const);
  return (found) => new Map(selects.map(([table, rows]) => [table, found.of(rows)]));
}

function holdersOf(table: HolderTable, networkId: string, name?: string): ReturnType<typeof carries> {
  return carries({ KIND: HOLDER_TABLES[table], NETWORK: networkId, ...(name === undefined ? {} : { NAME: name }) });
}

/** Nobody may have come or gone meanwhile. */
function expectHolders(draft: Draft, rows: HolderRows, networkId: string, name?: string): void {
  for (const table of TABLES) draft.expectRows(table, holdersOf(table, networkId, name), 'external_ids', rows.get(table) ?? []);
}

const namedIn = (rows: HolderRows): Holder[] =>
  [...rows.values()].flat().flatMap(({ external_ids: marks }) => holderOf(marks) ?? []);

/**
 * One row holds the names of a network, and is on each of its switches. It is written key by key: what ports and load
 * balancers add and take at the same time is theirs. Here all of it is made good, from the marks of those that have names.
 */
export function writeDns(draft: Draft, network: Network, { records: seen, holders }: DnsRows): void {
  const { networkId, revision, ownership, domain } = network;
  const uuid = dnsUuid(networkId);
  if (domain === undefined) {
    // Switches hold it weakly: it leaves them by itself.
    if (seen !== undefined) draft.delete('DNS', uuid);
    draft.expect('DNS', uuid, seen);
    return;
  }
  const external_ids = marksOf({ kind: 'DNS', id: networkId, revision, networkId, ownership }, { [Mark.DOMAIN]: domain });
  const records = recordsOf(domain, namedIn(holders));
  draft.ensure('DNS', uuid, seen, seen === undefined ? { records, external_ids } : { external_ids });
  const wrong = new Map([...records].filter(([key, value]) => seen?.records.get(key) !== value));
  const stale = [...(seen?.records.keys() ?? [])].filter((key) => !records.has(key));
  if (seen === undefined || wrong.size + stale.length > 0) expectHolders(draft, holders, networkId);
  if (seen !== undefined && wrong.size > 0) draft.setPairs('DNS', uuid, 'records', wrong);
  if (stale.length > 0) draft.removePairs('DNS', uuid, 'records', stale);
}

/** The names of networks, as those that have them come, change and go. */
export class Names {
  constructor(private readonly backend: Store) {}

  /**
   * Adds to a draft what it means for the names of a network.
   * @param before as the row of this port or load balancer was seen, undefined where it has no name or is new
   * @param after as it shall be, undefined where it shall have no name or go
   * @throws NOT_FOUND when the network has lost its names: it is told again, and then this call too
   */
  async change(time: CallTime, draft: Draft, networkId: string, before: Holder | undefined, after: Holder | undefined): Promise<void> {
    if (before?.name === after?.name && before?.address === after?.address) return;
    const names = [...new Set([before, after].flatMap((holder) => holder?.name ?? []))];
    const reading = new Transaction<Northbound>();
    const uuid = dnsUuid(networkId);
    const rows = reading.select('DNS', [['_uuid', '==', uuid]], ['external_ids']);
    const routers = reading.select('Logical_Router', [['_uuid', '==', rowUuid('Logical_Router', networkId)]], ['external_ids']);
    const holders = names.map((name) => [name, readHolders(reading, networkId, name)] as const);
    const found = await this.backend.read(time, reading);

    const [row] = found.of(rows);
    if (row === undefined && after !== undefined && (found.of(routers)[0]?.external_ids.get(Mark.DOMAIN) ?? '') !== '') {
      throw notFound('network', networkId);
    }
    // With another domain, or none, these would be other records.
    draft.expect('DNS', uuid, row);
    if (row === undefined) return;
    const domain = row.external_ids.get(Mark.DOMAIN) ?? '';
    const wanted = new Map<string, string>();
    const stale: string[] = [];
    for (const [name, read] of holders) {
      const seen = read(found);
      expectHolders(draft, seen, networkId, name);
      const id = (after ?? before)?.id;
      const others = namedIn(seen).filter((holder) => holder.id !== id);
      const all = after?.name === name ? [...others, after] : others;
      if (all.length === 0) stale.push(...keysOf(name, domain));
      else for (const [key, value] of recordsOf(domain, all)) wanted.set(key, value);
    }
    if (stale.length > 0) draft.removePairs('DNS', uuid, 'records', stale);
    if (before !== undefined && before.address !== after?.address) {
      // Who has the address by now keeps its own name.
      draft.removePairs('DNS', uuid, 'records', new Map([reverseOf(before, domain)]));
    }
    if (wanted.size > 0) draft.setPairs('DNS', uuid, 'records', wanted);
  }
}

const keysOf = (name: string, domain: string): [string, string] => [name, `${name}.${domain}`];

/** RFC 1035 §3.5. */
const reverseOf = ({ name, address }: Holder, domain: string): [string, string] => [
  `${address.split('.').reverse().join('.')}.in-addr.arpa`,
  `${name}.${domain}`,
];

function recordsOf(domain: string, holders: readonly Holder[]): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (const [name, namesakes] of Map.groupBy(holders, (holder) => holder.name)) {
    const addresses = namesakes.map(({ address }) => address).sort();
    for (const key of keysOf(name, domain)) records.set(key, addressesOf(addresses));
    for (const holder of namesakes) records.set(...reverseOf(holder, domain));
  }
  return records;
}

/**
 * OVN passes on a question for the IPv6 address of a name that has none, and libc takes a refusal there for one of the
 * IPv4 address too. So the same address is also told as an IPv4-mapped one (RFC 4291 §2.5.5.2), which comes second.
 */
const addressesOf = (addresses: readonly string[]): string => [...addresses, ...addresses.map((address) => `::ffff:${address}`)].join(' ');
