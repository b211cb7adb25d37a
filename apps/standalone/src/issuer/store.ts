import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import type { Adapter, AdapterPayload } from 'oidc-provider';

const MAX_ENTRIES = 10_000;
const OWNER_ONLY = 0o600;

interface Entry {
  model: string;
  id: string;
  payload: AdapterPayload;
  /** Milliseconds since 1970; null for ever. */
  expiresAt: number | null;
}

/**
 * What the development issuer remembers: sessions, codes, grants and tokens. In memory while it runs and in a file between
 * two runs, so that whoever is signed in stays so. The oldest go when there are too many.
 */
export class IssuerStore {
  private readonly entries = new Map<string, Entry>();

  private constructor(private readonly file: string) {}

  static async open(file: string): Promise<IssuerStore> {
    const store = new IssuerStore(file);
    const text = await readFileIfThere(file);
    for (const entry of text === undefined ? [] : (JSON.parse(text) as Entry[])) store.entries.set(keyOf(entry.model, entry.id), entry);
    return store;
  }

  /** What the library asks for one of its models. */
  adapter(model: string): Adapter {
    const find = (matches: (payload: AdapterPayload) => boolean): AdapterPayload | undefined =>
      this.living(model).find(({ payload }) => matches(payload))?.payload;
    return {
      upsert: async (id, payload, expiresIn) => this.put({ model, id, payload, expiresAt: expiresIn === undefined ? null : Date.now() + expiresIn * 1000 }),
      find: async (id) => this.get(keyOf(model, id))?.payload,
      findByUserCode: async (userCode) => find((payload) => payload.userCode === userCode),
      findByUid: async (uid) => find((payload) => payload.uid === uid),
      consume: async (id) => {
        const entry = this.get(keyOf(model, id));
        if (entry !== undefined) entry.payload.consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (id) => void this.entries.delete(keyOf(model, id)),
      revokeByGrantId: async (grantId) => {
        for (const [key, entry] of this.entries) if (entry.model === model && entry.payload.grantId === grantId) this.entries.delete(key);
      },
    };
  }

  async save(): Promise<void> {
    const entries = [...this.entries.values()].filter(isAlive);
    await writePrivate(this.file, JSON.stringify(entries));
  }

  private put(entry: Entry): void {
    const key = keyOf(entry.model, entry.id);
    this.entries.delete(key);
    this.entries.set(key, entry);
    if (this.entries.size > MAX_ENTRIES) this.entries.delete(this.entries.keys().next().value ?? '');
  }

  private get(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined || isAlive(entry)) return entry;
    this.entries.delete(key);
    return undefined;
  }

  private living(model: string): Entry[] {
    return [...this.entries.values()].filter((entry) => entry.model === model && isAlive(entry));
  }
}

const keyOf = (model: string, id: string): string => `${model} ${id}`;
const isAlive = ({ expiresAt }: Entry): boolean => expiresAt === null || expiresAt > Date.now();

export async function readFileIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** Whole or not at all, and readable by the owner of the process alone. */
export async function writePrivate(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, text, { mode: OWNER_ONLY });
  await chmod(draft, OWNER_ONLY);
  await rename(draft, file);
}
