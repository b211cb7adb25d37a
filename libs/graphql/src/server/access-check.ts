import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { RESOLVER_NAME_METADATA, RESOLVER_TYPE_METADATA } from '@nestjs/graphql/dist/graphql.constants.js';
import { ACCESS_METADATA } from '../access.js';

const ROOT_TYPES = new Set(['Query', 'Mutation', 'Subscription']);

interface RootField {
  /** As in `Query.node`. */
  name: string;
  /** As in `NodeResolver.node`. */
  method: string;
  problem: string | undefined;
}

/**
 * Refuses to start while a field of the root is not declared `@Public()` or `@Authenticated()`, is provided by a factory
 * or as a value (Nest would skip the guards of such a class), or came into the schema by another way.
 */
@Injectable()
export class AccessCheck implements OnApplicationBootstrap {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly schemaHost: GraphQLSchemaHost,
  ) {}

  onApplicationBootstrap(): void {
    const fields = this.discovery.getProviders().flatMap((provider) => {
      const { instance, metatype, inject } = provider as { instance: unknown; metatype: unknown; inject?: unknown };
      if (typeof instance !== 'object' || instance === null) return [];
      return rootFields(instance, typeof metatype === 'function' && inject === undefined);
    });
    const problems = fields.filter(({ problem }) => problem !== undefined).map(({ method, problem }) => `${method} ${problem}`);
    const known = new Set(fields.map(({ name }) => name));
    for (const name of this.#schemaFields()) {
      if (!known.has(name)) problems.push(`${name} has no resolver method`);
    }
    if (problems.length > 0) throw new Error(`GraphQL fields without declared access:\n  ${problems.join('\n  ')}`);
  }

  #schemaFields(): string[] {
    const { schema } = this.schemaHost;
    return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
      type == null ? [] : Object.keys(type.getFields()).map((field) => `${type.name}.${field}`),
    );
  }
}

function rootFields(instance: object, isPlainClass: boolean): RootField[] {
  const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
  const { constructor } = instance;
  return new MetadataScanner().getAllMethodNames(prototype).flatMap((key) => {
    const method = prototype?.[key] as object;
    const type: unknown = Reflect.getMetadata(RESOLVER_TYPE_METADATA, method);
    if (typeof type !== 'string' || !ROOT_TYPES.has(type)) return [];
    const isDeclared = [method, constructor].some((target) => Reflect.getMetadata(ACCESS_METADATA, target) !== undefined);
    const name = (Reflect.getMetadata(RESOLVER_NAME_METADATA, method) as string | undefined) ?? key;
    return [{ name: `${type}.${name}`, method: `${constructor.name}.${key}`, problem: problemOf(isPlainClass, isDeclared) }];
  });
}

function problemOf(isPlainClass: boolean, isDeclared: boolean): string | undefined {
  if (!isPlainClass) return 'must be provided as a plain class';
  return isDeclared ? undefined : 'is neither @Public() nor @Authenticated()';
}
