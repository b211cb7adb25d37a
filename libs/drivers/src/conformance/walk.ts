const MAX_PAGES = 10_000;

/** All pages, in order. */
export async function walk<Item>(page: (after: string | null) => Promise<Item[]>, idOf: (item: Item) => string): Promise<Item[]> {
  const all: Item[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const items = await page(after);
    const last = items.at(-1);
    if (last === undefined) return all;
    all.push(...items);
    after = idOf(last);
  }
  throw new Error(`the listing did not end after ${MAX_PAGES} pages`);
}
