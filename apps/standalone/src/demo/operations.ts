import type { DemoApi } from './api.js';
import { say } from './terminal.js';

const WATCH = `subscription ($ids: [ID!], $from: Cursor) {
  events(resourceIds: $ids, from: $from) {
    node { ... on Operation {
      id kind state progress { percent } blocker { message }
      error { code message } steps { name state }
    } }
  }
}`;

interface Seen {
  events: {
    node: {
      id: string;
      kind: string;
      state: string;
      progress: { percent: number };
      blocker: { message: string } | null;
      error: { code: string; message: string } | null;
      steps: { name: string; state: string }[];
    } | null;
  };
}

/** What a mutation answers that starts an operation. */
export interface Started {
  operation: { id: string };
}

const DEADLINE_MS = 180_000;
const ENDED = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK']);

/**
 * Sends a mutation that starts an operation, and prints the operation's steps until it has ended.
 * @param started finds what it started in its answer
 */
export async function runOperation<Answer>(
  api: DemoApi,
  mutation: string,
  variables: Record<string, unknown>,
  started: (answer: Answer) => Started,
  deadlineMs = DEADLINE_MS,
): Promise<Answer> {
  const { eventCursor } = await api.request<{ eventCursor: string }>('{ eventCursor }');
  const answer = await api.request<Answer>(mutation, variables);
  await watchOperation(api, started(answer).operation.id, eventCursor, deadlineMs);
  return answer;
}

/** Prints an operation's steps as they come over the subscription, until it has ended. */
async function watchOperation(api: DemoApi, operationId: string, from: string, deadlineMs: number): Promise<void> {
  let last = '';
  let failure: string | undefined;
  await api.follow<Seen>(WATCH, { ids: [operationId], from }, deadlineMs, ({ events: { node } }) => {
    if (node === null) return false;
    const running = node.steps.find((step) => step.state !== 'DONE')?.name ?? '';
    const line = `${node.state.toLowerCase().padEnd(9)} ${String(node.progress.percent).padStart(3)} %  ${running}`;
    if (line !== last) say.live(line);
    last = line;
    if (!ENDED.has(node.state)) return false;
    if (node.state !== 'SUCCEEDED') failure = `${node.kind} ended ${node.state}: ${node.error?.message ?? 'no reason'}`;
    return true;
  });
  if (failure !== undefined) throw new Error(failure);
}
