import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from '#core';
import type { Fence } from '#driver-incus';

const execute = promisify(execFile);
/** Of what the program says; only the log gets it. */
const MAX_OUTPUT = 64 * 1024;

/** Muon's own variables hold its keys and its database's password, which are nobody else's. */
function withoutOwn(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('MUON_')));
}

/**
 * A fence that asks a program of the operator's: its words, and after them the name of the host. It turns the host off
 * by what is outside of it, as its management controller or the switch of its power, and ends with 0 only when the host
 * is proven to be off. Anything else, and no end within the call's time, proves nothing.
 */
export function fenceByCommand(command: readonly string[], log: Logger): Fence {
  const [program = '', ...words] = command;
  return async (hostName, signal) => {
    try {
      await execute(program, [...words, hostName], { signal, maxBuffer: MAX_OUTPUT, env: withoutOwn(process.env) });
      log.warn({ host: hostName }, 'a host was turned off by its fence');
      return 'PROVEN_OFF';
    } catch (error) {
      log.warn({ err: error, host: hostName }, 'the fence could not prove that a host is off');
      return 'UNKNOWN';
    }
  };
}
