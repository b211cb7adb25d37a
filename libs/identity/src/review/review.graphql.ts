import { Args, ArgsType, Context, Field, ID, Info, ObjectType, Query, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { invalidInput, notFound } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, DateTime, NodeRegistry, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { findScopes, SYSTEM_SCOPE_ID } from '#scopes';
import { accessOf } from '../access/access.graphql.js';
import { placeOfRow, scopeKind, SYSTEM_PLACE, type Place } from '../access/access.js';
import { requirePrincipal } from '../access/look-up.js';
import { kindOfId, type ResourceKind } from '../access/resource-kind.js';
import { Action, Role } from '../access/role.js';
import { RoleBinding, toRoleBinding, visibleBindings } from '../binding/role-binding.graphql.js';
import { findBindings } from '../binding/role-binding.sql.js';
import { Principal, toPrincipal } from '../principal/principal-type.graphql.js';
import { findPrincipals, type PrincipalRow } from '../principal/principal.sql.js';
import { ResourceKindType } from '../role/role.graphql.js';
import { explain } from './explanation.js';
import { findHeldBindings, reviewEntries, type ReviewRow } from './review.sql.js';

@ArgsType()
class ExplainAccessArguments {
  @Field(() => ID, { description: 'Who.' })
  readonly principalId!: string;

  @Field(() => Action, { description: 'What it would do.' })
  readonly action!: Action;

  @Field(() => ID, { description: 'To what; or, with `kind`, in which system, tenant, project or other resource.' })
  readonly resourceId!: string;

  @Field(() => ResourceKindType, { nullable: true, description: 'The kind of thing, as for CREATE_CHILD in a project; the kind of the resource if not given.' })
  readonly kind?: ResourceKind | null;
}

@ObjectType({ description: 'Why a principal may do something, or may not.' })
export class AccessExplanation {
  @Field(() => Boolean, { description: 'Whether it may.' })
  readonly isAllowed!: boolean;

  @Field(() => String, { description: 'Why, for people.' })
  readonly message!: string;

  @Field(() => [RoleBinding], { description: 'The role bindings that let it, as far as the caller may see them.' })
  readonly bindings!: RoleBinding[];

  @Field(() => [Role], { description: 'The roles that let anybody who holds them there, the weakest first.' })
  readonly allowedBy!: Role[];
}

@ObjectType({ description: 'One way in which somebody has rights on a scope.' })
export class AccessReviewEntry {
  @Field(() => Principal, { description: 'Who.' })
  readonly principal!: Principal;

  @Field(() => RoleBinding, { description: 'What it may do there.' })
  readonly binding!: RoleBinding;

  @Field(() => String, { nullable: true, description: 'The group by which it holds that; null when it holds it itself.' })
  readonly groupName!: string | null;

  @Field(() => Boolean, { description: 'Whether the role is held above the scope.' })
  readonly isInherited!: boolean;

  @Field(() => DateTime, { nullable: true, description: 'When it last changed something in the scope; null when the audit log knows of nothing.' })
  readonly lastActedAt!: Date | null;
}

const AccessReviewConnection = connectionOf(AccessReviewEntry);

@ArgsType()
class AccessReviewArguments extends PageArguments {
  @Field(() => ID, { description: 'The system, tenant or project.' })
  readonly scopeId!: string;
}

@Authenticated()
@Resolver()
export class ReviewResolver {
  constructor(
    private readonly database: Database,
    private readonly nodes: NodeRegistry,
  ) {}

  @Query(() => AccessExplanation, {
    description: 'Why a principal may do something to a resource, or may not: oneself, or anybody for those who may read role bindings there.',
  })
  async explainAccess(@Args() args: ExplainAccessArguments, @Context() context: GraphqlContext): Promise<AccessExplanation> {
    const access = accessOf(context);
    const { action, resourceId } = args;
    const place = await this.placeOf(resourceId, context);
    const kind = args.kind ?? kindOfId(resourceId);
    if (kind === undefined) throw invalidInput('kind', 'Say of which kind: no rights are held on this resource itself.');
    const principal = await this.principalOf(args.principalId, place, context);
    const { by, ...rest } = explain(principal, action, kind, place, await this.database.rows(findHeldBindings, principal.id));
    // One may know what one holds oneself.
    const bindings = principal.id === access.principal.id ? by.map(toRoleBinding) : visibleBindings(by, context);
    return { ...rest, bindings };
  }

  @Query(() => AccessReviewConnection, {
    description: 'For its owners: who may do what on a scope, by which role, and when they last did something there; by name. Those who hold a role on the system are shown to those who may see that.',
  })
  async accessReview(
    @Args() args: AccessReviewArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<AccessReviewEntry>> {
    const access = accessOf(context);
    const place = await this.placeOfScope(args.scopeId, context);
    access.require(Action.READ, scopeKind(place), place, args.scopeId, 'scopeId');
    if (!access.sees('audit entry', place)) access.require(Action.MODIFY, 'role binding', place, args.scopeId, 'scopeId');
    const parameters: Parameters<typeof reviewEntries.count>[1] = [...access.filter('role binding'), place.tenantId, place.projectId, args.scopeId];
    const page = await reviewEntries.page(this.database, parameters, 'NAME', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await reviewEntries.count(this.database, parameters) : undefined;
    const entries = await this.entriesOf(page.rows);
    const kept = page.rows.flatMap((row, index) => {
      const entry = entries.get(row.id);
      return entry === undefined ? [] : [{ entry, cursor: page.cursors[index] ?? '' }];
    });
    const rows = kept.map(({ entry }) => entry);
    return toConnection({ ...page, rows, cursors: kept.map(({ cursor }) => cursor) }, (entry) => entry, total);
  }

  /** Two statements for a whole page; without what has gone since the page was read. */
  private async entriesOf(rows: readonly ReviewRow[]): Promise<Map<string, AccessReviewEntry>> {
    const principals = new Map((await this.database.rows(findPrincipals, [...new Set(rows.map((row) => row.holder_id))])).map((row) => [row.id, row]));
    const bindings = new Map((await this.database.rows(findBindings, [...new Set(rows.map((row) => row.binding_id))])).map((row) => [row.id, row]));
    const entries = rows.flatMap((row) => {
      const [principal, binding] = [principals.get(row.holder_id), bindings.get(row.binding_id)];
      if (principal === undefined || binding === undefined) return [];
      const { group_name: groupName, is_inherited: isInherited, last_acted_at: lastActedAt } = row;
      return [[row.id, { principal: toPrincipal(principal), binding: toRoleBinding(binding), groupName, isInherited, lastActedAt }] as const];
    });
    return new Map(entries);
  }

  private async principalOf(id: string, place: Place, context: GraphqlContext): Promise<PrincipalRow> {
    const access = accessOf(context);
    if (id !== access.principal.id) {
      const principal = await requirePrincipal(this.database, access, Action.READ, id, 'principalId');
      access.require(Action.READ, 'role binding', place, id, 'principalId');
      return principal;
    }
    const [own] = await this.database.rows(findPrincipals, [id]);
    if (own === undefined) throw notFound('principal', id, 'principalId');
    return own;
  }

  private async placeOf(id: string, context: GraphqlContext): Promise<Place> {
    if (id === SYSTEM_SCOPE_ID) return SYSTEM_PLACE;
    const node = (await this.nodes.load(id, context)) as { home: Place } | undefined;
    if (node === undefined) throw notFound('resource', id, 'resourceId');
    return node.home;
  }

  private async placeOfScope(id: string, context: GraphqlContext): Promise<Place> {
    const [scope] = await this.database.rows(findScopes, [id]);
    const place = scope === undefined ? undefined : placeOfRow(scope);
    if (place === undefined || !accessOf(context).sees(scopeKind(place), place)) throw notFound('scope', id, 'scopeId');
    return place;
  }
}
