import { z } from 'zod';
import { parseInput } from '#core';

const endpoints = z.array(z.string().min(1).max(500)).min(1).max(9);
const pem = z.string().min(1).max(1_000_000);

const optionsSchema = z.strictObject({
  /** For errors: the backend that the network is a part of. */
  backendId: z.string().min(1).max(200),
  /** Whose parts may be removed. */
  installationId: z.string().min(1).max(200),
  /** Servers of the database OVN_Northbound, `tcp:HOST:PORT`, `ssl:HOST:PORT` or `unix:FILE`: one, or all of a cluster. */
  northbound: endpoints,
  /** Servers of OVN_Southbound. */
  southbound: endpoints,
  /**
   * The database of each host's Open vSwitch, by the host's name, where the devices of machines are bound to their ports:
   * by this driver's `tend`. Ports of hosts that are not named here have to be bound by somebody else.
   */
  switches: z.record(z.string().min(1).max(253), z.string().min(1).max(500)).default({}),
  /** For `ssl:` endpoints, of all databases. */
  tls: z
    .strictObject({
      ca: pem.optional(),
      certificate: pem.optional(),
      privateKey: pem.optional(),
      /** `false` accepts any name that the authority has signed: certificates of `ovs-pki` hold no names. */
      serverName: z.union([z.string().min(1).max(253), z.literal(false)]).optional(),
    })
    .optional(),
  /** What guests are told: 1442 fits Geneve in an underlay of 1500. */
  mtu: z.number().int().min(576).max(9_216).default(1_442),
  dhcpLeaseSeconds: z.number().int().min(60).max(31_536_000).default(3_600),
  /** Name servers that guests are told. */
  dnsServers: z.array(z.ipv4()).max(3).default([]),
  /** A host that has not moved for so long, with something to catch up, counts as dead. */
  hostDeadAfterMs: z.number().int().min(50).max(600_000).default(10_000),
  /** The longest pause between attempts to reach a database again. */
  reconnectMaxMs: z.number().int().min(10).max(60_000).default(2_000),
  /** How long opening may take. */
  connectTimeoutMs: z.number().int().min(100).max(60_000).default(10_000),
});

export type OvnNetworkOptions = z.input<typeof optionsSchema>;
export type OvnNetworkSettings = z.output<typeof optionsSchema>;

/** @throws INVALID_INPUT naming the option that is wrong. */
export function readOptions(options: unknown): OvnNetworkSettings {
  return parseInput(optionsSchema, options, 'options');
}
