import { readdir, readFile } from 'node:fs/promises';

/** `CLK_TCK` of every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const MIB = 1024 * 1024;

interface ProcessTimes {
  parent: number;
  own: number;
  /** Of children that have ended. */
  children: number;
}

/** CPU of a process since its start, in ms. */
export async function cpuOf(pid: number): Promise<number> {
  return ms((await timesOf(pid))?.own ?? 0);
}

/** CPU of a process and all its children since their start, ended ones included, in ms: of a PostgreSQL by its postmaster. */
export async function cpuOfFamily(pid: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = await Promise.all(pids.map(async (each) => ({ each, times: await timesOf(each) })));
  let ticks = 0;
  for (const { each, times } of all) {
    if (each === pid || times?.parent === pid) ticks += (times?.own ?? 0) + (times?.children ?? 0);
  }
  return ms(ticks);
}

export interface Memory {
  /** All pages that the process has in memory. */
  residentMib: number;
  /** The same with shared pages divided among those who share them. */
  proportionalMib: number;
}

export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kib = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { residentMib: (kib(status, 'VmRSS') * 1024) / MIB, proportionalMib: (kib(rollup, 'Pss') * 1024) / MIB };
}

const ms = (ticks: number): number => (ticks * 1000) / TICKS_PER_SECOND;

async function timesOf(pid: number): Promise<ProcessTimes | undefined> {
  // It may have ended since it was listed.
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // The name in parentheses may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
  const [parent = 0, user = 0, system = 0, childUser = 0, childSystem = 0] = [fields[1], fields[11], fields[12], fields[13], fields[14]];
  return { parent, own: user + system, children: childUser + childSystem };
}
