import { BlockList } from 'node:net';
import { z } from 'zod';
import { invalidInput, parseInput } from '#core';
import {
  MAX_ROUTER_LINKS,
  type ExternalNetworkSpecification,
  type FloatingIpSpecification,
  type ProviderRouterSpecification,
  type RouterSpecification,
} from '#drivers';
import { id, ownership, revision } from './input.js';

const MAX_GATEWAYS = 16;

const externalNetworkSchema = z.object({
  externalNetworkId: id,
  revision,
  installationId: id,
  physicalNetwork: z.string().regex(/^[\w.-]{1,100}$/, 'A physical network has 1 to 100 letters, digits, hyphens, dots and underscores.'),
  vlan: z.number().int().min(1).max(4_094).optional(),
  cidr: z.cidrv4(),
  gatewayAddress: z.ipv4(),
});

const gatewayHostNames = z.array(z.string().min(1).max(253)).max(MAX_GATEWAYS);

const providerRouterSchema = z.object({
  providerRouterId: id,
  revision,
  installationId: id,
  externalNetworkId: id,
  address: z.ipv4(),
  transitCidr: z.cidrv4(),
  transitAddress: z.ipv4(),
  gatewayHostNames,
});

const routerSchema = z.object({
  routerId: id,
  revision,
  ownership,
  networks: z.array(z.object({ networkId: id, link: z.number().int().min(0).max(MAX_ROUTER_LINKS - 1) })).max(MAX_ROUTER_LINKS),
  uplink: z.object({ externalNetworkId: id, address: z.ipv4(), sourceNat: z.boolean(), gatewayHostNames }).nullable(),
});

const routerBehindSchema = routerSchema.extend({ uplink: z.object({ providerRouterId: id, address: z.ipv4(), sourceNat: z.boolean() }) });

const floatingIpSchema = z.object({
  floatingIpId: id,
  revision,
  ownership,
  routerId: id,
  networkId: id,
  address: z.ipv4(),
  transit: z.object({ providerRouterId: id, address: z.ipv4() }).optional(),
  target: z.union([z.object({ kind: z.literal('PORT'), portId: id }), z.object({ kind: z.literal('LOAD_BALANCER'), loadBalancerId: id })]),
});

/** @throws INVALID_INPUT naming the field */
export function readExternalNetwork(externalNetwork: ExternalNetworkSpecification): ExternalNetworkSpecification {
  const { vlan, ...read } = parseInput(externalNetworkSchema, externalNetwork, 'externalNetwork');
  requireIn(read.cidr, read.gatewayAddress, 'externalNetwork.gatewayAddress');
  return vlan === undefined ? read : { ...read, vlan };
}

function requireIn(cidr: string, held: string, field: string): void {
  const [address = '', prefixLength = ''] = cidr.split('/');
  const block = new BlockList();
  block.addSubnet(address, Number(prefixLength), 'ipv4');
  if (!block.check(held)) throw invalidInput(field, `The address ${held} is not in ${cidr}.`);
}

/** @throws INVALID_INPUT naming the field */
export function readProviderRouter(providerRouter: ProviderRouterSpecification): ProviderRouterSpecification {
  const read = parseInput(providerRouterSchema, providerRouter, 'providerRouter');
  requireIn(read.transitCidr, read.transitAddress, 'providerRouter.transitAddress');
  return read;
}

/** @throws INVALID_INPUT naming the field */
export function readRouter(router: RouterSpecification): RouterSpecification {
  const isBehind = router.uplink !== null && 'providerRouterId' in router.uplink;
  const read: RouterSpecification = parseInput(isBehind ? routerBehindSchema : routerSchema, router, 'router');
  const seen = new Set<string | number>();
  read.networks.forEach(({ networkId, link }, index) => {
    if (seen.has(networkId)) throw invalidInput(`router.networks.${index}.networkId`, `The network "${networkId}" is named twice.`);
    if (seen.has(link)) throw invalidInput(`router.networks.${index}.link`, `The link ${link} is used twice.`);
    seen.add(networkId).add(link);
  });
  return read;
}

/** @throws INVALID_INPUT naming the field */
export function readFloatingIp(floatingIp: FloatingIpSpecification): FloatingIpSpecification {
  const { transit, ...read } = parseInput(floatingIpSchema, floatingIp, 'floatingIp');
  return transit === undefined ? read : { ...read, transit };
}
