import { Injectable } from '@nestjs/common';
import { Args, Context, Field, ID, InterfaceType, Query, Resolver } from '@nestjs/graphql';
import { idPrefix, invalidInput, notFound } from '#core';
import { Authenticated } from '../access.js';
import type { GraphqlContext } from '../context.js';
import { loader } from '../loader.js';

export const MAX_NODES = 100;

/** Prefix of an id → name of its type; the same in every app of a process, as prefixes are. */
const typeNames = new Map<string, string>();

/** The part of the world that something belongs to; both null for what belongs to all of it. */
export interface NodeHome {
  readonly tenantId: string | null;
  readonly projectId: string | null;
}

@InterfaceType({
  description: 'Anything that has an id of its own. `node(id:)` finds it.',
  resolveType: (node: { id: string }) => typeNames.get(idPrefix(node.id) ?? ''),
})
export abstract class Node {
  @Field(() => ID, { description: 'Unique among everything, for good; begins with the kind and sorts by the time of making.' })
  readonly id!: string;

  /** No field: where it lives, for whoever must know what a caller may do to it. */
  readonly home!: NodeHome;
}

/** How a room lets `node(id:)` find its things. */
export interface NodeLoader {
  /** The prefix of its ids, as in `vm`. */
  readonly prefix: string;
  /** The name of its object type, which implements Node. */
  readonly typeName: string;
  /** Finds those that this caller may see, ready to be returned as that type; leaves out the others. */
  load(ids: readonly string[], context: GraphqlContext): Promise<ReadonlyMap<string, { id: string }>>;
}

/** Collects the rooms' node loaders; inject it and register in the constructor of a resolver. */
@Injectable()
export class NodeRegistry {
  readonly #loaders = new Map<string, NodeLoader>();

  register(nodeLoader: NodeLoader): void {
    const { prefix, typeName } = nodeLoader;
    const known = typeNames.get(prefix);
    if (this.#loaders.has(prefix) || (known !== undefined && known !== typeName)) {
      throw new Error(`node prefix "${prefix}" is registered twice`);
    }
    typeNames.set(prefix, typeName);
    this.#loaders.set(prefix, nodeLoader);
  }

  /** The thing with that id, or undefined when there is none that this caller may see. */
  async load(id: string, context: GraphqlContext): Promise<{ id: string } | undefined> {
    const nodeLoader = this.#loaders.get(idPrefix(id) ?? '');
    if (nodeLoader === undefined) return undefined;
    return loader<string, { id: string }>(context, `node.${nodeLoader.prefix}`, (ids) => nodeLoader.load(ids, context)).load(id);
  }
}

/** `node` and `nodes` of the root. */
@Resolver()
export class NodeResolver {
  constructor(private readonly registry: NodeRegistry) {}

  @Authenticated()
  @Query(() => Node, { nullable: true, description: 'Finds anything by its id; NOT_FOUND if there is nothing that you may see.' })
  async node(
    @Args('id', { type: () => ID, description: 'The id of what is looked for.' }) id: string,
    @Context() context: GraphqlContext,
  ): Promise<object> {
    const found = await this.registry.load(id, context);
    if (found === undefined) throw notFound('resource', id, 'id');
    return found;
  }

  @Authenticated()
  @Query(() => [Node], {
    nullable: 'items',
    description: `Finds up to ${MAX_NODES} things by their ids, in the order given; null where there is nothing that you may see.`,
  })
  async nodes(
    @Args('ids', { type: () => [ID], description: 'The ids of what is looked for.' }) ids: string[],
    @Context() context: GraphqlContext,
  ): Promise<(object | null)[]> {
    if (ids.length > MAX_NODES) throw invalidInput('ids', `At most ${MAX_NODES} ids are taken at once.`, { maximum: MAX_NODES });
    return Promise.all(ids.map(async (id) => (await this.registry.load(id, context)) ?? null));
  }
}
