import type { CallOptions, Session } from '../connection/session.js';
import type { Operation } from './operation.js';
import { waitFor } from './running-operation.js';

/** Background operations of all members (`/1.0/operations`). */
export class Operations {
  constructor(private readonly session: Session) {}

  /** @throws NOT_FOUND from 5 s after its end on */
  async get(id: string, options: CallOptions = {}): Promise<Operation> {
    return this.session.get<Operation>(['operations', id], options);
  }

  async list(options: CallOptions = {}): Promise<Operation[]> {
    const byStatus = await this.session.get<Record<string, Operation[]>>(['operations'], { ...options, query: { recursion: 1 } });
    return Object.values(byStatus).flat();
  }

  /** @see RunningOperation.wait */
  async wait(id: string, options: CallOptions = {}): Promise<Operation> {
    return waitFor(this.session, id, options);
  }

  /** @throws REFUSED where it cannot be cancelled (`may_cancel`) */
  async cancel(id: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['operations', id] });
  }
}
