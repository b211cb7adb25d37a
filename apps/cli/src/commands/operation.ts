import { duration, type Context } from '../context.js';
import { waitFor } from '../progress.js';
import type { OperationView } from '../watch.js';

export async function watchOperation(context: Context, id: string, options: { timeout: string }): Promise<void> {
  const timeoutMs = duration(options.timeout);
  const operation = await waitFor(await context.client(), context.output, id, timeoutMs);
  showOperation(context, operation);
}

export function showOperation({ output }: Context, operation: OperationView): void {
  const { id, kind, state, resourceId, queuedAt, endedAt } = operation;
  output.record(
    [['operation', id], ['kind', kind], ['state', state], ['resource', resourceId], ['asked for', queuedAt], ['ended', endedAt]],
    operation,
  );
}
