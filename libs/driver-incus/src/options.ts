import { z } from 'zod';
import { invalidInput, parseInput } from '#core';
import { capabilitiesSchema, type BackendConnection } from '#drivers';
import type { Endpoint } from '#incus';

const MAX_PEM = 64 * 1024;
const pem = z.string().max(MAX_PEM).startsWith('-----BEGIN ');
/** What one host has for machines; where it is not said, all that Incus reports. */
const hostSchema = z.strictObject({
  cpu: z.int().min(1).max(100_000).optional(),
  memoryMib: z.int().min(1).max(1_000_000_000).optional(),
  traits: z.array(z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'Lower-case words with hyphens.')).max(100).default([]),
});

const optionsSchema = z.strictObject({
  /** `virtual-machine` needs /dev/kvm and vhost_vsock on the hosts, and has not been tried. */
  instanceType: z.enum(['container', 'virtual-machine']).default('container'),
  /** The Incus project that all is in. */
  project: z.string().min(1).max(63).default('default'),
  /** Profiles of each machine; none of them may bring a network card. */
  profiles: z.array(z.string().min(1).max(63)).max(20).default([]),
  /** Configuration of each machine beside its own, as `security.nesting`. */
  instanceConfig: z
    .record(z.string().max(200), z.string().max(10_000))
    .default({})
    .refine((config) => Object.keys(config).every((key) => !/^(user\.|volatile\.|limits\.|boot\.|cloud-init\.)/.test(key)), {
      message: 'Keys of user, volatile, limits, boot and cloud-init are for the driver to set.',
    }),
  /** The bridge of the hosts that machines' network cards are plugged into; Incus does not manage it. */
  bridge: z.string().min(1).max(15).default('br-int'),
  /** The certificate that the members show, as PEM; for endpoints with https. */
  serverCertificate: pem.optional(),
  /** More members of the same cluster, `https://host:port` each: asked in turn while that of the endpoint cannot be reached. */
  otherEndpoints: z.array(z.string().max(2000)).max(100).default([]),
  /** What the network of the backend is opened with; without it the backend offers none. */
  network: z.record(z.string().max(100), z.unknown()).optional(),
  /** By the member's name. */
  hosts: z.record(z.string().max(255), hostSchema).default({}),
  /** Creations that one process has under way on one member. */
  createsPerMember: z.int().min(1).max(100).default(4),
  /** How often a watch looks whether members came or went, of which Incus sends no event. */
  watchIntervalMs: z.int().min(100).max(600_000).default(10_000),
  /**
   * What machines here can do less than Incus: guests without a shell, for one. Nodes of Kubernetes were not tried here yet:
   * only where somebody says so. Limits of disks are for virtual machines, unless it says otherwise (`iops-limit.ts`).
   */
  capabilities: capabilitiesSchema.extend({ kubernetesNodes: z.boolean().default(false), iopsLimit: z.boolean().optional() }).prefault({}),
});

export type IncusOptions = z.input<typeof optionsSchema>;
export type IncusSettings = z.output<typeof optionsSchema>;

/** The secret of a backend, as JSON: the client certificate that the cluster trusts, and what its network needs. */
const secretSchema = z.strictObject({ certificate: pem, key: pem, network: z.unknown().optional() });

/** @throws INVALID_INPUT naming the option that is wrong */
export function readOptions(connection: BackendConnection, defaults: IncusOptions): IncusSettings {
  return parseInput(optionsSchema, { ...defaults, ...connection.options }, 'options');
}

/**
 * `https://host:port` of any member, or `unix:/path` of its socket; then those of the option `otherEndpoints`.
 * @throws INVALID_INPUT; never with the secret in it
 */
export function readEndpoints({ endpoint, secret }: BackendConnection, { serverCertificate, otherEndpoints }: IncusSettings): Endpoint[] {
  const origins = otherEndpoints.map((each, index) => originOf(each, `options.otherEndpoints.${index}`));
  if (endpoint.startsWith('unix:/')) {
    if (origins.length > 0) throw invalidInput('options.otherEndpoints', 'Other members are for an endpoint with https.');
    return [{ socketPath: endpoint.slice('unix:'.length) }];
  }
  const first = originOf(endpoint, 'endpoint');
  if (serverCertificate === undefined) throw invalidInput('options.serverCertificate', 'With https the certificate of the cluster must be known.');
  const { certificate, key } = readSecret(secret);
  return [first, ...origins].map((url) => ({ url, serverCertificate, client: { certificate, key } }));
}

function originOf(text: string, field: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:') return url.origin;
  const orSocket = field === 'endpoint' ? ', or at unix:/path of a socket' : '';
  throw invalidInput(field, `A member of an Incus cluster is reached at https://host:8443${orSocket}.`);
}

/** The part of the secret that is for the network. @throws INVALID_INPUT; never with the secret in it */
export function readNetworkSecret({ secret }: BackendConnection): unknown {
  return secret === null ? undefined : readSecret(secret).network;
}

function readSecret(secret: string | null): z.output<typeof secretSchema> {
  try {
    return secretSchema.parse(JSON.parse(secret ?? ''));
  } catch {
    // What the parser says would hold parts of the key.
    throw invalidInput('secret', 'The secret of an Incus backend is JSON with "certificate" and "key", both PEM, and "network" where its network needs one.');
  }
}
