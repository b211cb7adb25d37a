/** What a lab looks like; nothing here touches the machine. */

export interface Network {
  /** The bridge in the machine's own network name space. */
  bridge: string;
  /** First three bytes of its /24. */
  prefix: string;
  mtu: number;
  /** Name of the end inside of a host, and last letter of the end outside. */
  device: string;
  letter: string;
  /** The machine itself has `.1`. */
  machineIsIn: boolean;
}

export const MANAGEMENT: Network = { bridge: 'lab-management', prefix: '10.99.0', mtu: 1500, device: 'mgmt0', letter: 'm', machineIsIn: true };
/** Room for the header of Geneve beside full frames of 1500 bytes. */
export const UNDERLAY: Network = { bridge: 'lab-underlay', prefix: '10.98.0', mtu: 9000, device: 'und0', letter: 'u', machineIsIn: false };
/** "The internet": floating addresses come from here (TEST-NET-2 of RFC 5737). */
export const EXTERNAL: Network = { bridge: 'lab-external', prefix: '198.51.100', mtu: 1500, device: 'ext0', letter: 'x', machineIsIn: true };
export const NETWORKS: readonly Network[] = [MANAGEMENT, UNDERLAY, EXTERNAL];

export const cidrOf = ({ prefix }: Network): string => `${prefix}.0/24`;
export const machineAddress = ({ prefix }: Network): string => `${prefix}.1`;

/** A bridge's own hardware address, locally administered. */
export function bridgeMac({ prefix }: Network): string {
  const bytes = [2, 0, ...prefix.split('.').map(Number), 1];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export interface Floating {
  first: string;
  last: string;
}

/** Addresses of the external network that nothing of the lab uses. */
export const FLOATING: Floating = { first: `${EXTERNAL.prefix}.100`, last: `${EXTERNAL.prefix}.199` };

/** A machine of the lab: its name is that of its Incus member and of its OVN chassis, too. */
export interface HostLayout {
  name: string;
  zone: string;
  rack: string;
  managementAddress: string;
  underlayAddress: string;
}

export interface ControllerLayout {
  name: string;
  managementAddress: string;
}

export interface Layout {
  controller: ControllerLayout;
  hosts: readonly HostLayout[];
}

export const MAX_HOSTS = 16;
const RACKS = 3;
const ZONES = 2;
const FIRST_HOST = 11;

/** Databases and northd of OVN. */
export const CONTROLLER: ControllerLayout = { name: 'c1', managementAddress: `${MANAGEMENT.prefix}.10` };
export const NORTHBOUND_PORT = 6641;
export const SOUTHBOUND_PORT = 6642;
export const OVSDB_PORT = 6640;
export const INCUS_PORT = 8443;
/** The name that OVN's bridge mappings give to the external network. */
export const PHYSICAL_NETWORK = 'physnet1';
export const POOL = 'local';
export const PROFILE = 'lab';
export const TINY_IMAGE = 'tiny';
export const DEBIAN_IMAGE = 'debian';
/** How Muon calls the external network. */
export const EXTERNAL_NETWORK = 'internet';
/** Of Debian 12's Docker, which is in it. */
export const DOCKER_RELEASE = '20.10.24';

/** Racks in turn, zones by rack: with three hosts r1 and r3 are in z1, r2 in z2. */
export function layoutOf(hosts: number): Layout {
  const number = (index: number) => ({
    name: `h${index + 1}`,
    zone: `z${((index % RACKS) % ZONES) + 1}`,
    rack: `r${(index % RACKS) + 1}`,
    managementAddress: `${MANAGEMENT.prefix}.${FIRST_HOST + index}`,
    underlayAddress: `${UNDERLAY.prefix}.${FIRST_HOST + index}`,
  });
  return { controller: CONTROLLER, hosts: Array.from({ length: hosts }, (_none, index) => number(index)) };
}

/** The outer end of a host's cable, as `lab-h1m`. */
export const cableOf = (host: string, { letter }: Network): string => `lab-${host}${letter}`;

/** Is it a link that a lab of any size would have made? */
export const isLabLink = (name: string): boolean =>
  NETWORKS.some(({ bridge }) => bridge === name) || new RegExp(`^lab-[hc]\\d{1,2}[${NETWORKS.map(({ letter }) => letter).join('')}]$`).test(name);
