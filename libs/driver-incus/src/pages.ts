/** How long the rest of a list waits for whoever has got its first page. */
const HELD_MS = 5_000;

interface Rest<Item> {
  items: Item[];
  until: number;
}

/** Pages of lists that Incus gives as a whole: each list is asked for once, whatever number of pages it is read in. */
export class Pages<Item> {
  /** What comes after an id that was the last of a page. */
  private readonly rests = new Map<string, Rest<Item>>();

  constructor(private readonly idOf: (item: Item) => string) {}

  /** @param list all there is, in any order */
  async page(after: string | null, limit: number, list: () => Promise<Item[]>): Promise<Item[]> {
    const now = performance.now();
    for (const [id, { until }] of this.rests) if (until < now) this.rests.delete(id);
    const held = after === null ? undefined : this.rests.get(after);
    const { items, until } = held ?? { items: this.sorted(await list(), after), until: performance.now() + HELD_MS };
    const page = items.slice(0, limit);
    const last = page.at(-1);
    if (last !== undefined && items.length > limit) this.rests.set(this.idOf(last), { items: items.slice(limit), until });
    return page;
  }

  private sorted(items: Item[], after: string | null): Item[] {
    return items.filter((item) => after === null || this.idOf(item) > after).sort((a, b) => (this.idOf(a) < this.idOf(b) ? -1 : 1));
  }
}
