import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from './client.js';
import { ExitCode } from './exit-code.js';
import { Failure, type Problem } from './failure.js';

export interface Step {
  name: string;
  state: 'PENDING' | 'STARTED' | 'DONE' | 'FAILED' | 'UNDONE';
  tries: number;
  /** What a deletion has counted at its end. */
  proof: Record<string, unknown> | null;
}

export interface Blocker extends Problem {
  remedy: string | null;
  resourceId: string;
}

export interface OperationView {
  id: string;
  kind: string;
  state: 'QUEUED' | 'RUNNING' | 'WAITING' | 'UNDOING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED' | 'STUCK';
  resourceId: string;
  tenantId: string | null;
  projectId: string | null;
  queuedAt: string;
  endedAt: string | null;
  progress: { done: number; known: number; percent: number; expectedEndAt: string | null };
  steps: Step[];
  blockers: Blocker[];
  error: Problem | null;
}

const PROBLEM = 'code message fault retryable field data';
const OPERATION = `query ($id: ID!) {
  operation(id: $id) {
    id kind state resourceId tenantId projectId queuedAt endedAt
    progress { done known percent expectedEndAt }
    steps { name state tries proof }
    blockers { code message fault data remedy resourceId }
    error { ${PROBLEM} }
  }
}`;
/** Children are operations of the same scope: their events move the progress of the whole. */
const EVENTS = `subscription ($from: Cursor, $ids: [ID!], $tenantId: ID, $projectId: ID) {
  events(from: $from, kinds: ["op"], resourceIds: $ids, tenantId: $tenantId, projectId: $projectId) { cursor }
}`;

const ENDED: ReadonlySet<string> = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK']);
/** Events come in bursts; what they say is read this often at most. */
const READ_PAUSE_MS = 250;
/** Read again even without an event: what only waits tells nothing. */
const READ_AGAIN_MS = 15_000;
const RECONNECT_MS = 1000;
/** An api that restarts is back within this time. */
const UNREACHABLE_MS = 30_000;

export const isEnded = (operation: OperationView): boolean => ENDED.has(operation.state);

export async function readOperation(client: Client, id: string): Promise<OperationView> {
  return (await client.query<{ operation: OperationView }>(OPERATION, { id })).operation;
}

/**
 * Follows an operation by the stream of events until it has ended.
 * @param show is called with each new look at it
 * @throws Failure TIMEOUT when it has not ended by then; UNREACHABLE when nobody answers for half a minute
 */
export async function followOperation(
  client: Client,
  id: string,
  timeoutMs: number,
  show: (operation: OperationView) => void,
): Promise<OperationView> {
  const deadline = Date.now() + timeoutMs;
  // Taken before the first look, so that no change falls between the two.
  const { eventCursor } = await client.query<{ eventCursor: string }>('{ eventCursor }');
  let operation = await readOperation(client, id);
  show(operation);
  if (isEnded(operation)) return operation;
  const bell = new Bell();
  const stop = new AbortController();
  const listening = listen(client, operation, eventCursor, bell, stop.signal);
  try {
    while (!isEnded(operation)) {
      const left = deadline - Date.now();
      if (left <= 0) throw timedOut(operation, timeoutMs);
      await bell.heard(Math.min(READ_AGAIN_MS, left));
      operation = await readPatiently(client, id, deadline);
      show(operation);
      if (!isEnded(operation)) await pause(READ_PAUSE_MS);
    }
    return operation;
  } finally {
    stop.abort();
    await listening;
  }
}

async function readPatiently(client: Client, id: string, deadline: number): Promise<OperationView> {
  const patience = Math.min(deadline, Date.now() + UNREACHABLE_MS);
  for (;;) {
    try {
      return await readOperation(client, id);
    } catch (error) {
      if (!(error instanceof Failure) || error.exitCode !== ExitCode.UNREACHABLE || Date.now() > patience) throw error;
      await pause(RECONNECT_MS);
    }
  }
}

interface EventData {
  events: { cursor: string };
}

interface Received {
  data?: EventData | null | undefined;
}

/** Rings at every event; connects again where it was when the connection is lost. */
async function listen(client: Client, operation: OperationView, cursor: string, bell: Bell, signal: AbortSignal): Promise<void> {
  const { createClient } = await import('graphql-ws');
  const { projectId, tenantId } = operation;
  const scope = projectId !== null ? { projectId } : tenantId !== null ? { tenantId } : { ids: [operation.id] };
  let from: string | null = cursor;
  while (!signal.aborted) {
    const socket = createClient({
      url: `${client.url.replace(/^http/, 'ws')}/graphql`,
      connectionParams: async () => ({ authorization: await client.authorization() }),
      retryAttempts: 0,
      keepAlive: 10_000,
      lazyCloseTimeout: 0,
      onNonLazyError: () => undefined,
    });
    const stream: AsyncIterableIterator<Received> = socket.iterate<EventData>({ query: EVENTS, variables: { ...scope, from } });
    const end = (): void => void stream.return?.();
    signal.addEventListener('abort', end, { once: true });
    try {
      for await (const { data } of stream) {
        from = data?.events.cursor ?? from;
        bell.ring();
      }
    } catch (error) {
      // Whether the login has ended or the cursor is too old: the next look, and a stream from now on, tell.
      if (isExpired(error)) from = null;
    }
    signal.removeEventListener('abort', end);
    await socket.dispose();
    bell.ring();
    await pause(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
  }
}

const isExpired = (error: unknown): boolean =>
  Array.isArray(error) && (error as { extensions?: { code?: string } }[])[0]?.extensions?.code === 'CURSOR_EXPIRED';

/** Remembers one ring until somebody listens. */
class Bell {
  private rung = false;
  private wake: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  async heard(timeoutMs: number): Promise<void> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, timeoutMs);
        this.wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
    this.rung = false;
    this.wake = undefined;
  }
}

function timedOut(operation: OperationView, timeoutMs: number): Failure {
  const blockers = operation.blockers.map((blocker) => ({ ...blocker, data: null }));
  return new Failure(
    ExitCode.TIMEOUT,
    `The operation is ${operation.state} after ${Math.round(timeoutMs / 1000)} seconds, and goes on. See again: muon operation watch ${operation.id}`,
    blockers,
  );
}
