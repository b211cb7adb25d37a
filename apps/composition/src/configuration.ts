import { z } from 'zod';
import { readConfiguration } from '#core';
import { isNetwork } from '#identity';

const port = z.coerce.number().int().min(0).max(65_535);
const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
const budget = z.coerce.number().int().min(1000).max(1_000_000_000_000);
const networks = z
  .string()
  .default('')
  .transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
  .refine((list) => list.every((each) => isNetwork(each)), { error: 'must be networks such as 10.1.0.0/16, with commas between' });

const NO_WORDS = 'must be a program and its words, with blanks between, or as a list in JSON where one of them has a blank itself';
const words = z.string().transform((text, context): string[] => {
  const parsed = z.array(z.string().min(1)).min(1).safeParse(text.trim().startsWith('[') ? listIn(text) : text.split(/\s+/).filter((word) => word !== ''));
  if (parsed.success) return parsed.data;
  context.addIssue({ code: 'custom', message: NO_WORDS });
  return z.NEVER;
});

function listIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What every process of Muon is told by its environment; the README lists it. */
export const configurationSchema = z.object({
  /** `postgres://user:password@host:port/name`; PostgreSQL 17 or newer. */
  MUON_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// address' }),
  /** Key-encryption keys, `keyId:base64 of 32 bytes` a line, the current one first. */
  MUON_SECRET_KEYS: z.string().min(1, 'must hold at least one key'),
  MUON_HTTP_HOST: z.string().default('127.0.0.1'),
  MUON_HTTP_PORT: port.default(8080),
  /** Networks of the balancers in front, whose `X-Forwarded-For` says where a request comes from. */
  MUON_TRUSTED_PROXIES: networks,
  /** Health and metrics of a worker; an api process serves them on its own port. */
  MUON_WORKER_PORT: port.default(8081),
  /** How long an api that was told to stop serves on while /readyz says that it will not. */
  MUON_SHUTDOWN_DELAY_MS: z.coerce.number().int().min(0).max(120_000).default(0),
  MUON_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  MUON_POOL_SIZE: z.coerce.number().int().min(4).max(200).default(20),
  /** Operations that one worker runs at once. */
  MUON_WORKER_SLOTS: z.coerce.number().int().min(1).max(256).default(16),
  /** Token of the first owner, as `muon token generate` prints one; give it by MUON_BOOTSTRAP_TOKEN_FILE. */
  MUON_BOOTSTRAP_TOKEN: z.string().optional(),
  /** Days that the audit log is kept. */
  MUON_AUDIT_DAYS: z.coerce.number().int().min(1).max(36_500).default(400),
  /** Serves GraphiQL at /graphiql. */
  MUON_GRAPHIQL: flag.default(false),
  /** Networks, as `10.1.0.0/16,fd00::/8`, in which issuers of tenants may be besides the public internet. */
  MUON_ISSUER_PRIVATE_NETWORKS: networks,
  /** Lets issuers at addresses of this machine be spoken to without TLS. */
  MUON_ISSUER_LOOPBACK_HTTP: flag.default(false),
  /** Failed attempts to sign in that an address has in a minute, at each api process. */
  MUON_FAILED_SIGN_INS: z.coerce.number().int().min(1).max(100_000).default(60),
  /** What the requests of one principal may cost in a minute, at all api processes together. */
  MUON_PRINCIPAL_BUDGET: budget.default(50_000_000),
  /** What those of all principals of one tenant may. */
  MUON_TENANT_BUDGET: budget.default(200_000_000),
  /**
   * Turns hosts of Incus backends off: a program and its words, after which the name of the host comes. A list in JSON
   * where one of them has a blank. It ends with 0 only when the host is proven to be off.
   */
  MUON_FENCE_COMMAND: words.optional(),
  /**
   * How long a host, or the whole backend, may be silent before it counts as down; hosts are looked at six times as often,
   * and every five seconds at least.
   */
  MUON_HOST_SILENT_AFTER_MS: z.coerce.number().int().min(5000).max(3_600_000).optional(),
  /** Rings the workers by Redis (or Valkey) instead of PostgreSQL. */
  MUON_REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// address' }).optional(),
});
export type Configuration = z.output<typeof configurationSchema>;

export function configurationFrom(environment: NodeJS.ProcessEnv): Configuration {
  return readConfiguration(configurationSchema, environment);
}
