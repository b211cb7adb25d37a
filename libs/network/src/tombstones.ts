import type { Transaction } from '#database';
import { liftTombstones, writeTombstones } from '#operations';
import { findNetworkBackends } from './network/network.sql.js';

/** What this room's parts are called on tombstones. */
export const ObjectKind = {
  NETWORK: 'network',
  PORT: 'port',
  LOAD_BALANCER: 'load_balancer',
  EXTERNAL_NETWORK: 'external_network',
  PROVIDER_ROUTER: 'provider_router',
  ROUTER: 'router',
  FLOATING_IP: 'floating_ip',
  SECURITY_GROUP: 'security_group',
} as const;
export type ObjectKind = (typeof ObjectKind)[keyof typeof ObjectKind];

interface Part {
  id: string;
  backend_id: string;
}

/** From now on the sweep may delete these, should a late effect bring them back. */
export async function bury(
  transaction: Transaction,
  objectKind: ObjectKind,
  parts: readonly Part[],
  reason: 'deleted' | 'undone',
): Promise<void> {
  await writeTombstones(transaction, parts.map((part) => ({ backendId: part.backend_id, objectKind, objectId: part.id, reason })));
}

/** Nothing may delete these any more: they are made again. */
export async function raise(transaction: Transaction, objectKind: ObjectKind, parts: readonly Part[]): Promise<void> {
  await liftTombstones(transaction, parts.map((part) => ({ backendId: part.backend_id, objectKind, objectId: part.id })));
}

/** A network is buried on every backend that it spans. */
export async function networkPartsOf(transaction: Transaction, networkId: string): Promise<Part[]> {
  const spans = await transaction.rows(findNetworkBackends, [networkId]);
  return spans.map((span) => ({ id: span.network_id, backend_id: span.backend_id }));
}
