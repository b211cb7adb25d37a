import { z } from 'zod';
import { invalidInput, parseInput } from '#core';
import { capabilitiesSchema, type BackendConnection } from '#drivers';
import { RANDOM_FAULT_KINDS } from './fault.js';

const DAY_MS = 86_400_000;

const delaySchema = z
  .strictObject({ min: z.number().int().min(0).max(DAY_MS), max: z.number().int().min(0).max(DAY_MS) })
  .refine((delay) => delay.min <= delay.max, 'The least delay is not above the greatest.');

/** Milliseconds between a call and its effect; a longer one answers PENDING meanwhile. */
export type Delay = z.output<typeof delaySchema>;

const randomSchema = z.strictObject({
  /** The same seed, calls and keys give the same faults. */
  seed: z.string().min(1).max(200),
  /** Share of the calls that meet each kind, 0 to 1. */
  rates: z
    .partialRecord(z.enum(RANDOM_FAULT_KINDS), z.number().min(0).max(1))
    .refine(
      (rates) => Object.values(rates).reduce((sum: number, rate) => sum + (rate ?? 0), 0) <= 1,
      'The rates sum to at most 1.',
    ),
  /** Milliseconds of late effects and of running. */
  delayMs: z.number().int().min(0).max(DAY_MS).default(500),
  /** Late effects come although their resource was deleted meanwhile. */
  uncancellable: z.boolean().default(false),
});

const optionsSchema = z.strictObject({
  /** Of every change. */
  delayMs: delaySchema.optional(),
  /** Of the changes by one method, as `createMachine`; goes before `delayMs`. */
  delaysByMethod: z.record(z.string().max(63), delaySchema).default({}),
  random: randomSchema.optional(),
  capabilities: capabilitiesSchema.prefault({}),
  /** Connections to the simulation's database, from each process. */
  poolSize: z.number().int().min(1).max(50).default(8),
  /** How often a watch looks for changes. */
  watchIntervalMs: z.number().int().min(10).max(60_000).default(250),
});

export type SimulatedOptions = z.input<typeof optionsSchema>;
export type SimulatedSettings = z.output<typeof optionsSchema>;

/**
 * @param defaults of the process; the backend row's own options go before them.
 * @throws INVALID_INPUT naming the option or the endpoint that is wrong.
 */
export function readOptions(connection: BackendConnection, defaults: SimulatedOptions): SimulatedSettings {
  return parseInput(optionsSchema, { ...defaults, ...connection.options }, 'options');
}

/**
 * The simulation's database. A password may be the backend's secret instead of a part of the endpoint, which people see.
 * @throws INVALID_INPUT
 */
export function simulationUrl(endpoint: string, secret: string | null): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol) || url.pathname.length < 2) {
    throw invalidInput('endpoint', 'A simulated backend lives in a PostgreSQL database: postgres://user@host:5432/database.');
  }
  if (secret !== null && url.password === '') url.password = encodeURIComponent(secret);
  return url.href;
}
