import { sleep } from '#core';
import type { BackendEvent } from '#drivers';
import type { IncusEvent } from '#incus';
import type { IncusBackend } from './backend.js';
import { idsOf } from './names.js';

const SOURCE = /^\/1\.0\/(instances|storage-pools\/[^/]+\/volumes\/custom|cluster\/members)\/([^/?]+)/;
/** Of Incus's lifecycle actions, those that change nothing that is told of here; health checks make one each. */
const CHANGES_NOTHING = /^instance-(exec$|console|file-|log-|metadata-|backup-)|^storage-volume-backup-|-retrieved$/;
/** Those that change nothing of its disk. */
const CHANGES_POWER = /^instance-(started|stopped|shutdown|restarted|paused|resumed|ready)$/;
const LOOK_TIMEOUT_MS = 15_000;

/** Tells of changes in the cluster: from Incus's events, and from looks at what those leave out. */
export class Watch {
  private readonly instances = new Map<string, string>();
  private readonly members = new Map<string, string>();
  private isFirst = true;

  constructor(
    private readonly backend: IncusBackend,
    private readonly onEvent: (event: BackendEvent) => void,
    private readonly signal: AbortSignal,
  ) {}

  async run(): Promise<void> {
    const { client, settings } = this.backend;
    if (this.signal.aborted) return;
    const stream = client.listen(
      {
        // What happened before is lost, so everything is looked at.
        onConnected: () => void this.look(),
        onEvent: (event) => eventsOf(event).forEach((each) => this.tell(each)),
      },
      { types: ['lifecycle'] },
    );
    // No event tells that a member has died.
    while (!this.signal.aborted) {
      await sleep(settings.watchIntervalMs, this.signal);
      if (!this.signal.aborted) await this.lookAtMembers();
    }
    await stream.close();
  }

  private tell(event: BackendEvent): void {
    if (!this.signal.aborted) this.onEvent(event);
  }

  /** Tells what is not as it was when it was last seen; nothing at the first look. */
  private async look(): Promise<void> {
    try {
      const all = await this.backend.client.instances.list(this.limits);
      const names = new Set(all.map(({ name }) => name));
      for (const { name, status_code: code, location } of all) {
        const state = `${code} ${location}`;
        if (this.instances.get(name) === state) continue;
        this.instances.set(name, state);
        if (!this.isFirst) this.tellOf(name);
      }
      for (const name of [...this.instances.keys()].filter((each) => !names.has(each))) {
        this.instances.delete(name);
        this.tellOf(name);
      }
      this.isFirst = false;
    } catch {
      // Hints may be missed; the next connection looks again.
    }
    await this.lookAtMembers();
  }

  private async lookAtMembers(): Promise<void> {
    try {
      for (const { server_name: name, status } of await this.backend.client.cluster.list(this.limits)) {
        const before = this.members.get(name);
        this.members.set(name, status);
        if (before !== undefined && before !== status) this.tell({ kind: 'HOST', id: name });
      }
    } catch {
      // Whoever cannot be asked is asked again.
    }
  }

  private tellOf(name: string): void {
    for (const event of eventsOfName(name)) this.tell(event);
  }

  private get limits() {
    return { signal: this.signal, timeoutMs: LOOK_TIMEOUT_MS };
  }
}

/** What an event of Incus says has changed. */
export function eventsOf(event: IncusEvent): BackendEvent[] {
  if (event.type !== 'lifecycle' || CHANGES_NOTHING.test(event.metadata.action)) return [];
  const [, kind, encoded] = SOURCE.exec(event.metadata.source) ?? [];
  if (kind === undefined || encoded === undefined) return [];
  const said = decodeURIComponent(encoded);
  if (kind === 'cluster/members') return [{ kind: 'HOST', id: said }];
  // Of a volume Incus tells the name on its pool, which begins with its project: `default_dsk-…`. Ours have no such stroke.
  const name = kind === 'instances' ? said : said.slice(said.lastIndexOf('_') + 1);
  // Of a new name, the machine that was on it before.
  const before = event.metadata.context?.['old_name'];
  const events = [name, ...(typeof before === 'string' ? [before] : [])].flatMap(eventsOfName);
  return CHANGES_POWER.test(event.metadata.action) ? events.filter((each) => each.kind === 'MACHINE') : events;
}

function eventsOfName(name: string): BackendEvent[] {
  const { diskId, machineId } = idsOf(name) ?? {};
  return [
    ...(diskId === undefined ? [] : [{ kind: 'DISK', id: diskId } as const]),
    ...(machineId === undefined ? [] : [{ kind: 'MACHINE', id: machineId } as const]),
  ];
}
