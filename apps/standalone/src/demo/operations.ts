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

const ENDED = new Set(['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK']);

/** Prints an operation's steps as they come over the subscription, until it has ended. */
export async function watchOperation(api: DemoApi, operationId: string, from: string, timeoutMs = 120_000): Promise<void> {
  let last = '';
  let failure: string | undefined;
  await api.follow<Seen>(WATCH, { ids: [operationId], from }, timeoutMs, ({ events: { node } }) => {
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
