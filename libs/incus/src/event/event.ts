import type { Operation } from '../operation/operation.js';

interface EventFrame {
  timestamp: string;
  /** The member that it happened on. */
  location?: string;
  project?: string;
}

/** Something has happened to an object: `instance-started`, … A host that dies sends none. */
export interface LifecycleEvent extends EventFrame {
  type: 'lifecycle';
  metadata: {
    action: string;
    /** Its path in the API, as `/1.0/instances/web`. */
    source: string;
    name?: string;
    project?: string;
    context?: Record<string, unknown> | null;
  };
}

/** The state of an operation; may repeat or overtake each other: the status code counts, not the order. */
export interface OperationEvent extends EventFrame {
  type: 'operation';
  metadata: Operation;
}

export type IncusEvent = LifecycleEvent | OperationEvent;
export type EventType = IncusEvent['type'];
