import { BlockList } from 'node:net';
import { z } from 'zod';
import { invalidInput, parseInput } from '#core';
import type { LoadBalancerSpecification, NetworkSpecification, PortSpecification } from '#drivers';

/** They become names and values of `external_ids` in OVN. */
export const id = z.string().regex(/^[\w-]{1,100}$/, 'An id has 1 to 100 letters, digits, hyphens and underscores.');
export const revision = z.number().int().min(0).max(999_999_999_999_999);
export const ownership = z.object({ installationId: id, tenantId: id, projectId: id });
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const name = z.string().regex(new RegExp(`^${LABEL}$`), 'A name is one DNS label in lower case.');
/** With a name before it, it is no longer than DNS allows. */
const domain = z.string().max(189).regex(new RegExp(`^${LABEL}(?:\\.${LABEL})*$`), 'A domain is DNS labels in lower case with dots between them.');
const MAX_SUBNETS = 256;
const MAX_LISTENERS = 64;
const MAX_MEMBERS = 1_024;

const networkSchema = z.object({
  networkId: id,
  revision,
  ownership,
  subnets: z
    .array(z.object({ subnetId: id, cidr: z.cidrv4(), gatewayAddress: z.ipv4(), healthCheckAddress: z.ipv4().optional() }))
    .max(MAX_SUBNETS),
  domain: domain.optional(),
});

const portSchema = z.object({
  portId: id,
  revision,
  ownership,
  networkId: id,
  subnetId: id,
  macAddress: z.string().regex(/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/, 'A MAC address is six pairs of hexadecimal digits with colons.'),
  ipAddress: z.ipv4(),
  name: name.optional(),
  hostName: z.string().min(1).max(253),
});

const tcpPort = z.number().int().min(1).max(65_535);

const loadBalancerSchema = z.object({
  loadBalancerId: id,
  revision,
  ownership,
  networkId: id,
  address: z.ipv4(),
  name: name.optional(),
  listeners: z
    .array(
      z.object({
        port: tcpPort,
        protocol: z.literal('TCP'),
        members: z.array(z.object({ address: z.ipv4(), port: tcpPort })).max(MAX_MEMBERS),
      }),
    )
    .max(MAX_LISTENERS),
});

export interface Subnet {
  subnetId: string;
  cidr: string;
  gatewayAddress: string;
  prefixLength: string;
  healthCheckAddress: string | undefined;
}

export interface Network extends Omit<NetworkSpecification, 'subnets'> {
  subnets: Subnet[];
}

/** Finds what OVN would take and ignore. @throws INVALID_INPUT naming the field */
export function readNetwork(network: NetworkSpecification): Network {
  const { subnets, domain: given, ...rest } = parseInput(networkSchema, network, 'network');
  const seen = new Set<string>();
  return {
    ...rest,
    ...(given === undefined ? {} : { domain: given }),
    subnets: subnets.map(({ subnetId, cidr, gatewayAddress, healthCheckAddress }, index) => {
      const field = `network.subnets.${index}`;
      if (seen.has(subnetId)) throw invalidInput(`${field}.subnetId`, `The subnet "${subnetId}" is named twice.`);
      seen.add(subnetId);
      const [address = '', prefixLength = ''] = cidr.split('/');
      const block = new BlockList();
      block.addSubnet(address, Number(prefixLength), 'ipv4');
      if (!block.check(gatewayAddress)) throw invalidInput(`${field}.gatewayAddress`, `The gateway ${gatewayAddress} is not in ${cidr}.`);
      if (healthCheckAddress !== undefined && (healthCheckAddress === gatewayAddress || !block.check(healthCheckAddress))) {
        throw invalidInput(`${field}.healthCheckAddress`, `Health checks need an address of ${cidr} other than the gateway's.`);
      }
      return { subnetId, cidr, gatewayAddress, prefixLength, healthCheckAddress };
    }),
  };
}

/** @throws INVALID_INPUT naming the field */
export function readPort(port: PortSpecification): PortSpecification {
  const { name: given, ...read } = parseInput(portSchema, port, 'port');
  return { ...read, ...(given === undefined ? {} : { name: given }), macAddress: read.macAddress.toLowerCase() };
}

/** @throws INVALID_INPUT naming the field */
export function readLoadBalancer(loadBalancer: LoadBalancerSpecification): LoadBalancerSpecification {
  const { name: given, ...read } = parseInput(loadBalancerSchema, loadBalancer, 'loadBalancer');
  return { ...read, ...(given === undefined ? {} : { name: given }) };
}
