import type { KeysetList, Page as KeysetPage, Reader } from '#database';
import { pageRequest, requestedFields, toConnection, type Connection, type PageArguments, type PageRequest, type SelectionInfo } from '#graphql';
import type { EventFeed } from './event-feed.js';

/** How a list is read; a `KeysetList` with its parameters and order bound. */
export interface ListSource<Row> {
  readonly page: (request: PageRequest) => Promise<KeysetPage<Row>>;
  readonly count: () => Promise<number>;
}

/** A list with its reader, the parameters of its filters, and one of its orders. */
export function listSource<Row, Parameters extends readonly unknown[]>(
  list: KeysetList<Row, Parameters>,
  reader: Reader,
  parameters: Parameters,
  order: string,
): ListSource<Row> {
  return { page: (request) => list.page(reader, parameters, order, request), count: () => list.count(reader, parameters) };
}

/**
 * One page of a list, and only as much around it as was asked for: the total, and the place in the stream of events, which
 * is read before the page, so that watching from there misses nothing of it.
 */
export async function readConnection<Row, Item>(
  request: { info: SelectionInfo; args: PageArguments },
  events: { feed: EventFeed; reader: Reader },
  source: ListSource<Row>,
  toItem: (row: Row) => Item,
): Promise<Connection<Item>> {
  const fields = requestedFields(request.info);
  const eventCursor = fields.has('eventCursor') ? await events.feed.head(events.reader) : undefined;
  const page = await source.page(pageRequest(request.args));
  const total = fields.has('totalCount') ? await source.count() : undefined;
  return toConnection(eventCursor === undefined ? page : { ...page, eventCursor }, toItem, total);
}
