import { backoffMs, MuonError, toMuonError } from '#core';

/** Calls in a row without an answer before the backend itself is suspected. */
const SUSPICION = 5;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

interface Open {
  cause: MuonError;
  since: Date;
  failures: number;
  retryAt: number;
}

/**
 * Keeps callers from waiting for a backend that does not answer. Silence about one machine says little (its host may be
 * down), so a suspicion is checked by a probe of the backend; while that fails too, calls are refused at once with the
 * first cause. The first call after each pause starts another probe.
 */
export class CircuitBreaker {
  private silences = 0;
  private open: Open | undefined;
  private probing = false;

  constructor(
    private readonly backend: { id: string; name: string },
    private readonly probe: () => Promise<void>,
  ) {}

  get isOpen(): boolean {
    return this.open !== undefined;
  }

  /** @throws UNAVAILABLE with the first cause in `data` while the backend does not answer. */
  check(): void {
    if (this.open === undefined) return;
    if (Date.now() >= this.open.retryAt) this.startProbe(this.open.cause);
    const { cause, since } = this.open;
    throw new MuonError('UNAVAILABLE', `The backend "${this.backend.name}" does not answer: ${cause.message}`, {
      data: { backend: this.backend.id, since: since.toISOString(), cause: { code: cause.code, message: cause.message } },
      cause,
      fault: 'OPERATOR',
    });
  }

  answered(): void {
    this.silences = 0;
    this.open = undefined;
  }

  failed(error: unknown): void {
    const failure = toMuonError(error);
    if (failure.code === 'CANCELLED') return;
    if (failure.code !== 'UNAVAILABLE' && failure.code !== 'TIMEOUT') {
      this.answered();
      return;
    }
    this.silences += 1;
    if (this.silences >= SUSPICION) this.startProbe(failure);
  }

  private startProbe(suspicion: MuonError): void {
    if (this.probing) return;
    this.probing = true;
    this.probe().then(
      () => {
        this.probing = false;
        this.answered();
      },
      () => {
        this.probing = false;
        const failures = (this.open?.failures ?? 0) + 1;
        this.open = {
          cause: this.open?.cause ?? suspicion,
          since: this.open?.since ?? new Date(),
          failures,
          retryAt: Date.now() + backoffMs(failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS),
        };
      },
    );
  }
}
