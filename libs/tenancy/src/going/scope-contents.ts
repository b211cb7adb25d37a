import { assert } from '#core';
import type { ChangeSet, Reader } from '#database';

/** What is going: a project, or a tenant with all its projects. */
export interface GoingScope {
  tenantId: string;
  /** Null for the whole tenant. */
  projectId: string | null;
}

/** One thing that is there. */
export interface ScopeContent {
  id: string;
  name: string;
}

/** In which order things go: what stands on others before them. */
export const ContentsOrder = {
  CLUSTER: 100,
  FLOATING_IP: 150,
  LOAD_BALANCER: 200,
  VIRTUAL_MACHINE: 300,
  AFFINITY_GROUP: 400,
  DISK: 500,
  PORT: 600,
  SUBNET: 700,
  ROUTER: 750,
  NETWORK: 800,
  IMAGE: 1000,
  /** Claims, addresses and whatever goes with something else; only proven to be gone. */
  CLAIM: 2000,
} as const;

/**
 * What must go when a tenant or a project goes. A room above that keeps rows in scopes registers one for each kind, also
 * for those that go with others: the end of an offboarding is proven by asking all of them.
 */
export interface ScopeContents {
  /** One of it, as people say: `virtual machine`. */
  readonly kind: string;
  /** Lower goes first; see `ContentsOrder`. The next kind is begun when none of this one is left. */
  readonly order: number;
  count(reader: Reader, scope: GoingScope): Promise<number>;
  /** At most `limit`, in a stable order. */
  list(reader: Reader, scope: GoingScope, limit: number): Promise<ScopeContent[]>;
  /**
   * Starts the deletion of at most `limit` whose deletion is not on its way yet: the operations that `delete…` mutations
   * start, which ask whoever holds the resource to cancel. An empty change set when all are on their way. Called again
   * every few moments until the count is zero, so what failed is started anew. Left out by what goes with others.
   */
  planDeletion?(reader: Reader, scope: GoingScope, limit: number): Promise<ChangeSet>;
}

/** Collects what the rooms above keep in scopes; the app registers each of them once, before it serves. */
export class ScopeContentsRegistry {
  private readonly byKind = new Map<string, ScopeContents>();

  register(...contents: readonly ScopeContents[]): this {
    for (const each of contents) {
      assert(!this.byKind.has(each.kind), `scope contents of "${each.kind}" are registered twice`);
      this.byKind.set(each.kind, each);
    }
    return this;
  }

  get inOrder(): ScopeContents[] {
    return [...this.byKind.values()].sort((one, other) => one.order - other.order || (one.kind < other.kind ? -1 : 1));
  }
}
