import { assert, MuonError } from '#core';
import { ROWS, type ChangeSet, type Reader } from '#database';
import type { SubnetRow } from '../subnet/subnet.js';
import { ADDRESS_CLAIMS } from './address-claims.js';
import { countUsed, findFreeAddresses, probeFreeAddresses } from './address.sql.js';
import { formatAddress, parseAddress, poolSize, type AddressPool } from './ipv4.js';

export interface AddressWish {
  ownerId: string;
  networkId: string;
  networkName: string;
  /** Where it may lie, the best first. */
  subnets: readonly SubnetRow[];
}

export interface ChosenAddress {
  subnetId: string;
  address: string;
}

type FreeAddresses = Map<string, string[]>;

/** Subnets and addresses that an unapplied change set makes and takes: what is planned next must see them. */
class Planned {
  readonly subnets = new Map<string, { gateway: string; pools: AddressPool[] }>();
  readonly takenSubnetIds: string[] = [];
  readonly takenAddresses: string[] = [];

  constructor(changes: ChangeSet | undefined) {
    for (const row of changes?.items(ROWS) ?? []) {
      if ('insert' in row && row.table === 'subnet') {
        this.subnets.set(String(row.insert.id), row.insert as unknown as { gateway: string; pools: AddressPool[] });
      }
    }
    for (const item of changes?.items(ADDRESS_CLAIMS) ?? []) {
      if (item.action === 'CLAIM') this.take(item.subnetId, item.address);
    }
  }

  take(subnetId: string, address: string): void {
    this.takenSubnetIds.push(subnetId);
    this.takenAddresses.push(address);
  }

  /** Free addresses of a subnet that is not in the database yet: nobody else can have one. */
  choose(subnetId: string, amount: number): string[] {
    const subnet = this.subnets.get(subnetId);
    assert(subnet !== undefined, `subnet ${subnetId} is not planned here`);
    const taken = new Set(this.takenAddresses.filter((_, index) => this.takenSubnetIds[index] === subnetId));
    taken.add(subnet.gateway);
    const free: string[] = [];
    for (const pool of subnet.pools) {
      const last = parseAddress(pool.last, 'pools');
      for (let at = parseAddress(pool.first, 'pools'); at <= last && free.length < amount; at += 1) {
        const address = formatAddress(at);
        if (!taken.has(address)) free.push(address);
      }
    }
    return free;
  }
}

/**
 * Chooses a free address for each wish, at random and by a handful of statements for any number of wishes. Nothing is
 * taken: the claims in a change set do that.
 * @param alongside what the same change set makes and takes already
 * @throws INSUFFICIENT_CAPACITY when a network's subnets are full, with their sizes and use
 */
export async function chooseAddresses(
  reader: Reader,
  wishes: readonly AddressWish[],
  alongside?: ChangeSet,
): Promise<Map<string, ChosenAddress>> {
  const planned = new Planned(alongside);
  const chosen = new Map<string, ChosenAddress>();
  let open = [...wishes];
  for (let place = 0; open.length > 0; place += 1) {
    const amounts = new Map<string, number>();
    for (const wish of open) {
      const subnet = wish.subnets[place];
      if (subnet === undefined) throw await addressesExhausted(reader, wish, wishes);
      amounts.set(subnet.id, (amounts.get(subnet.id) ?? 0) + 1);
    }
    const free = await freeAddresses(reader, amounts, planned);
    open = open.filter((wish) => {
      const subnetId = wish.subnets[place]?.id ?? '';
      const address = free.get(subnetId)?.pop();
      if (address === undefined) return true;
      planned.take(subnetId, address);
      chosen.set(wish.ownerId, { subnetId, address });
      return false;
    });
  }
  return chosen;
}

async function freeAddresses(reader: Reader, amounts: ReadonlyMap<string, number>, planned: Planned): Promise<FreeAddresses> {
  const found: FreeAddresses = new Map();
  const stored = new Map<string, number>();
  for (const [subnetId, amount] of amounts) {
    if (planned.subnets.has(subnetId)) found.set(subnetId, planned.choose(subnetId, amount));
    else stored.set(subnetId, amount);
  }
  for (const query of [probeFreeAddresses, findFreeAddresses]) {
    if (stored.size === 0) break;
    const [ids, counts] = [[...stored.keys()], [...stored.values()]];
    const rows = await reader.rows(query, ids, counts, planned.takenSubnetIds, planned.takenAddresses);
    for (const [subnetId, group] of Map.groupBy(rows, (row) => row.subnet_id)) {
      found.set(subnetId, group.map((row) => row.address));
      if (group.length === stored.get(subnetId)) stored.delete(subnetId);
    }
  }
  return found;
}

async function addressesExhausted(reader: Reader, wish: AddressWish, wishes: readonly AddressWish[]): Promise<MuonError> {
  const requested = wishes.filter((other) => other.networkId === wish.networkId).length;
  const place = { networkId: wish.networkId, requested };
  const rows = await reader.rows(countUsed, wish.subnets.map((subnet) => subnet.id));
  const used = new Map(rows.map((row) => [row.subnet_id, row.used]));
  const subnets = wish.subnets.map((subnet) => {
    const size = poolSize(subnet.pools, subnet.gateway, subnet.health_check_address);
    return { id: subnet.id, name: subnet.name, cidr: subnet.cidr, size, used: used.get(subnet.id) ?? 0 };
  });
  const free = subnets.reduce((sum, subnet) => sum + Math.max(0, subnet.size - subnet.used), 0);
  const list = subnets.map((subnet) => `"${subnet.name}" (${subnet.cidr}, ${subnet.used} of ${subnet.size} used)`).join(', ');
  const message =
    subnets.length === 0
      ? `The network "${wish.networkName}" has no subnet; create one first.`
      : `The network "${wish.networkName}" has ${free} free addresses and ${requested} are needed: ${list}. Add a subnet or free some.`;
  return new MuonError(subnets.length === 0 ? 'INVALID_STATE' : 'INSUFFICIENT_CAPACITY', message, {
    data: { ...place, free, subnets },
    fault: 'USER',
    retryable: false,
  });
}
