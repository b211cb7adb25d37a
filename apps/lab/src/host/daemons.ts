import { listProcesses, type Process } from '../machine/processes.js';
import type { Machine } from './namespace.js';

/** The programs that run on a machine. */
export async function programsOn({ pidNamespace }: Machine): Promise<Process[]> {
  return (await listProcesses()).filter((one) => one.pidNamespace === pidNamespace);
}

/** Programs are known by the first fifteen letters of their name; of a second one of a name, an argument tells. */
export const runs = (programs: readonly Process[], program: string, argument?: string): boolean =>
  programs.some((one) => one.program === program.slice(0, 15) && (argument === undefined || one.arguments.includes(argument)));
