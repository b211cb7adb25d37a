import type { Command } from 'commander';
import { Client } from './client.js';
import { usageFailure } from './failure.js';
import { Output, type OutputFormat } from './output.js';
import { currentLogin } from './settings.js';

/** What every command is given. */
export interface Context {
  output: Output;
  /** Given on the command line. */
  url: string | undefined;
  /** Made when first asked for, so that local commands need no login. */
  client: () => Promise<Client>;
}

interface GlobalOptions {
  url?: string;
  output: OutputFormat;
}

export function contextOf(command: Command): Context {
  const { url, output } = command.optsWithGlobals<GlobalOptions>();
  return { output: new Output(output), url, client: async () => new Client(await currentLogin(url)) };
}

const HOUR_MS = 3_600_000;
const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };

/** `90s`, `15m`, `2h` or `7d`, as milliseconds. */
export function duration(text: string, longestMs = 24 * HOUR_MS): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  const milliseconds = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (milliseconds > 0 && milliseconds <= longestMs) return milliseconds;
  throw usageFailure(`"${text}" is no length of time: write it as 90s, 15m, 2h or 7d, at most ${longestMs / HOUR_MS}h.`);
}

/** @param bounds both ends are allowed */
export function wholeNumber(text: string, name: string, bounds: { from: number; to: number }): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= bounds.from && number <= bounds.to) return number;
  throw usageFailure(`${name} is "${text}"; it must be a whole number from ${bounds.from} to ${bounds.to}.`);
}

/** `name=value` */
export function pair(text: string, what: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw usageFailure(`"${text}" is no ${what}: write it as name=value.`);
}
