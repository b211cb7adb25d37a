import type { Type } from '@nestjs/common';
import { Field, Int, ObjectType } from '@nestjs/graphql';
import { Cursor } from '../scalars.js';

/** One page of a list as the database gives it; `cursors` has one for each row. */
export interface Page<Row> {
  rows: readonly Row[];
  cursors: readonly string[];
  hasNextPage: boolean;
  hasPreviousPage: boolean;
  /** The place in the stream of events at which this page was read. */
  eventCursor?: string;
}

@ObjectType({ description: 'Where a page of a list begins and ends, and whether there is more on either side.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there is more after this page.' })
  readonly hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether there is more before this page.' })
  readonly hasPreviousPage!: boolean;

  @Field(() => Cursor, { nullable: true, description: 'The place of the first item; null when the page is empty.' })
  readonly startCursor!: string | null;

  @Field(() => Cursor, { nullable: true, description: 'The place of the last item; null when the page is empty.' })
  readonly endCursor!: string | null;
}

/** One item of a list, with its place. */
export interface Edge<Item> {
  readonly cursor: string;
  readonly node: Item;
}

/** What a resolver of a list returns; `toConnection` makes it from a page. */
export interface Connection<Item> {
  readonly edges: readonly Edge<Item>[];
  readonly nodes: readonly Item[];
  readonly pageInfo: PageInfo;
  readonly totalCount: number | null;
  readonly eventCursor: string | null;
}

const connections = new Map<Type<unknown>, Type<Connection<unknown>>>();

/**
 * The connection type of an object type: `VirtualMachine` gives `VirtualMachineConnection` and `VirtualMachineEdge`.
 * Asking twice gives the same. Call it where the class is already defined, below it in the same file.
 */
export function connectionOf<Item extends object>(item: Type<Item>): Type<Connection<Item>> {
  const known = connections.get(item);
  if (known !== undefined) return known as Type<Connection<Item>>;
  const name = item.name;

  @ObjectType(`${name}Edge`, { description: `One ${name} of a list, with its place in it.` })
  class EdgeType implements Edge<Item> {
    @Field(() => Cursor, { description: 'The place of this item in the list.' })
    readonly cursor!: string;

    @Field(() => item, { description: 'The item itself.' })
    readonly node!: Item;
  }

  @ObjectType(`${name}Connection`, { description: `One page of a list of ${name}.` })
  class ConnectionType implements Connection<Item> {
    @Field(() => [EdgeType], { description: 'The items of this page, each with its place in the list.' })
    readonly edges!: readonly Edge<Item>[];

    @Field(() => [item], { description: 'The items of this page.' })
    readonly nodes!: readonly Item[];

    @Field(() => PageInfo, { description: 'Where this page begins and ends.' })
    readonly pageInfo!: PageInfo;

    @Field(() => Int, { nullable: true, description: 'How many items the list has in all; counted only when asked for.' })
    readonly totalCount!: number | null;

    @Field(() => Cursor, {
      nullable: true,
      description: 'Where the stream of events stood when this page was read: watch from here and nothing is missed.',
    })
    readonly eventCursor!: string | null;
  }

  connections.set(item, ConnectionType);
  return ConnectionType;
}

/** Maps a page to what GraphQL returns. Give `totalCount` only if `requestedFields(info)` has it. */
export function toConnection<Row, Item>(
  page: Page<Row>,
  toItem: (row: Row) => Item,
  totalCount?: number,
): Connection<Item> {
  const nodes = page.rows.map(toItem);
  return {
    nodes,
    edges: nodes.map((node, index) => ({ node, cursor: page.cursors[index] ?? '' })),
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: page.hasPreviousPage,
      startCursor: page.cursors[0] ?? null,
      endCursor: page.cursors.at(-1) ?? null,
    },
    totalCount: totalCount ?? null,
    eventCursor: page.eventCursor ?? null,
  };
}
