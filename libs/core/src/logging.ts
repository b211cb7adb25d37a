import { AsyncLocalStorage } from 'node:async_hooks';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';

/** Fields that every log line written inside `withLogFields` carries: request id, operation id. */
const fields = new AsyncLocalStorage<Record<string, string>>();

export type Logger = PinoLogger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Names under which secrets might arrive in a logged object; their values are replaced. */
const REDACTED = ['authorization', 'token', 'secret', 'password', 'privateKey', 'privateKeyPem', 'clientKeyPem', 'kubeconfig', 'joinToken', 'answers', 'bundle'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

const MAX_CAUSES = 5;

/**
 * Only what is known to be fit for a log. Errors of libraries carry whole connections with them, with addresses and more;
 * pino would print every property.
 */
function describeError(error: unknown, causes: number): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack, code, detail, cause } = error as Error & { code?: unknown; detail?: unknown };
  return {
    type: name,
    message,
    stack,
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof detail === 'string' ? { detail } : {}),
    ...(cause === undefined || causes === 0 ? {} : { cause: describeError(cause, causes - 1) }),
  };
}

/** One JSON object a line, on standard error so that standard output stays free for commands' answers. */
export function createLogger(name: string, level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    {
      name,
      level,
      base: { pid: process.pid },
      redact: { paths: REDACTED, censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => fields.getStore() ?? {},
      serializers: { err: (error: unknown) => describeError(error, MAX_CAUSES) },
    },
    destination ?? pino.destination({ dest: 2, sync: false }),
  );
}

export function withLogFields<T>(added: Record<string, string>, work: () => T): T {
  return fields.run({ ...fields.getStore(), ...added }, work);
}
