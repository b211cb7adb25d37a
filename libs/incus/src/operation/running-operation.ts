import { sleep } from '#core';
import { errorOfAnswer, IncusError, isNotFound } from '../connection/incus-error.js';
import type { CallOptions, Session } from '../connection/session.js';
import { isFinal, StatusCode, type Operation } from './operation.js';

/** For operations whose caller says nothing: unpacking an image on a busy member takes its time. */
const WAIT_TIMEOUT_MS = 120_000;
/** One question lasts so long at most, so that a member that died while we wait is noticed. */
const QUESTION_SECONDS = 20;
const ANSWER_MARGIN_MS = 5000;
const PAUSE_MS = 20;

/** What a change became: an operation in the background, or nothing more to wait for. */
export class RunningOperation {
  /** @param operation as it was answered; none when Incus did it at once */
  constructor(
    private readonly session: Session,
    readonly operation?: Operation,
  ) {}

  /** To wait for it from elsewhere (`Operations.wait`); undefined when it is over. */
  get id(): string | undefined {
    return this.operation?.id;
  }

  /**
   * Waits for the end, through whichever member this is asked of.
   * @returns the operation at its end; undefined when Incus had done it at once
   * @throws IncusError of what went wrong in it; TIMEOUT when it still runs (`outcomeUnknown`); OPERATION_LOST when
   *   Incus does not know it any more
   */
  async wait(options: CallOptions = {}): Promise<Operation | undefined> {
    return this.operation === undefined ? undefined : waitFor(this.session, this.operation.id, options);
  }
}

/** @see RunningOperation.wait */
export async function waitFor(session: Session, id: string, { timeoutMs = WAIT_TIMEOUT_MS, signal }: CallOptions): Promise<Operation> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) throw new IncusError('TIMEOUT', `The operation ${id} still runs after ${timeoutMs} ms.`, { outcomeUnknown: true });
    const seconds = Math.min(QUESTION_SECONDS, Math.ceil(leftMs / 1000));
    const found = await question(session, id, seconds, signal);
    if (found !== undefined) return found;
    // Incus answers late, when it has something to say; should it not, we do not ask as fast as we can.
    await sleep(PAUSE_MS, signal);
  }
}

/** The operation when it ended well, undefined when it still runs. */
async function question(session: Session, id: string, seconds: number, signal: AbortSignal | undefined): Promise<Operation | undefined> {
  // The path is made from the id: the one that Incus answers has a query, after which `/wait` would be lost.
  const path = ['operations', id];
  const limits = { timeoutMs: seconds * 1000 + ANSWER_MARGIN_MS, ...(signal === undefined ? {} : { signal }) };
  try {
    const operation = await session.get<Operation>([...path, 'wait'], { ...limits, query: { timeout: seconds } });
    return settled(operation);
  } catch (error) {
    if (!(error instanceof IncusError) || error.status === undefined) throw unknown(error);
    // A failed operation and a wait that ran out answer alike: the operation itself tells them apart, for 5 s.
    const operation = await session.get<Operation>(path, limits).catch((lookError: unknown) => {
      if (isNotFound(lookError)) return undefined;
      throw unknown(lookError);
    });
    if (operation === undefined) throw error.message === 'Operation not found' ? lost(id, error) : error;
    if (!isFinal(operation.status_code)) return undefined;
    if (operation.status_code === StatusCode.FAILURE) throw error;
    return settled(operation);
  }
}

function settled(operation: Operation): Operation | undefined {
  if (!isFinal(operation.status_code)) return undefined;
  if (operation.status_code === StatusCode.SUCCESS) return operation;
  if (operation.status_code === StatusCode.CANCELLED) {
    throw new IncusError('CANCELLED', `The operation "${operation.description}" was cancelled.`, { status: operation.status_code, outcomeUnknown: true });
  }
  throw errorOfAnswer(operation.status_code, operation.err);
}

const lost = (id: string, cause: IncusError): IncusError =>
  new IncusError('OPERATION_LOST', `Incus does not know the operation ${id} any more.`, { status: 404, outcomeUnknown: true, cause });

/** The operation goes on whether we hear of it or not. */
function unknown(error: unknown): unknown {
  if (!(error instanceof IncusError)) return error;
  return new IncusError(error.kind, error.message, { ...(error.status === undefined ? {} : { status: error.status }), outcomeUnknown: true, cause: error });
}
