import { Injectable } from '@nestjs/common';
import { MuonError } from '#core';
import type { EventRow } from '#events';
import type { EventVisibility, ListSource } from '#events/api';
import type { Authentication, Authenticator as AuthenticatorPort, GraphqlContext, PresentedCredential, RequestMeter } from '#graphql';
import { RequestBudgets } from '../budget/request-budgets.js';
import { Authenticator } from '../principal/authenticator.js';
import { Access, scopeKind } from './access.js';
import { kindOfId } from './resource-kind.js';

const ofOperations = new WeakMap<GraphqlContext, Access>();

/**
 * The caller's access; fields that reach it have passed the guard, so there is one. A socket signs in once for all its
 * operations, and each of them has an access of its own: its plan rests on what itself was let, and not on what others were.
 */
export function accessOf(context: GraphqlContext): Access {
  const { principal, transport, requestId } = context;
  if (!(principal instanceof Access)) throw new MuonError('UNAUTHENTICATED', 'Sign in first: a valid credential is needed here.');
  if (transport === 'http') return principal;
  let access = ofOperations.get(context);
  if (access === undefined) ofOperations.set(context, (access = principal.forOperation(requestId)));
  return access;
}

/** A list of what all tenants share, or an empty one for whoever holds no role anywhere. */
export function onlyForMembers<Row>(context: GraphqlContext, source: ListSource<Row>): ListSource<Row> {
  if (accessOf(context).holdsAnything) return source;
  return {
    page: async () => ({ rows: [], cursors: [], hasNextPage: false, hasPreviousPage: false }),
    count: async () => 0,
  };
}

/** Lets the GraphQL server know callers by their bearer tokens. */
@Injectable()
export class BearerAuthenticator implements AuthenticatorPort {
  constructor(private readonly authenticator: Authenticator) {}

  async authenticate(presented: PresentedCredential): Promise<Authentication> {
    if (presented.authorization === undefined) return {};
    const [scheme, token = ''] = presented.authorization.split(' ', 2);
    if (scheme?.toLowerCase() !== 'bearer') {
      throw new MuonError('UNAUTHENTICATED', 'The Authorization header must read "Bearer <token>".');
    }
    const origin = { requestId: presented.requestId, address: presented.remoteAddress };
    const access = await this.authenticator.authenticate(token, origin);
    return access.expiresAt === null ? { principal: access } : { principal: access, expiresAt: access.expiresAt };
  }

  async findInvalid(authentications: readonly Authentication[]): Promise<readonly Authentication[]> {
    const byAccess = new Map<Access, Authentication>();
    for (const each of authentications) if (each.principal instanceof Access) byAccess.set(each.principal, each);
    const gone = await this.authenticator.invalid([...byAccess.keys()]);
    return [...gone].flatMap((access) => byAccess.get(access) ?? []);
  }
}

/** Counts what requests cost against the budgets of their principals and tenants. */
@Injectable()
export class BudgetMeter implements RequestMeter {
  constructor(private readonly budgets: RequestBudgets) {}

  charge(caller: object, cost: number): Promise<void> | undefined {
    if (!(caller instanceof Access)) return undefined;
    const { id, tenantId } = caller.principal;
    return this.budgets.charge({ principalId: id, tenantId }, cost);
  }
}

/** A caller sees the events of what it may see. */
@Injectable()
export class GrantedEvents implements EventVisibility {
  visibleTo(context: GraphqlContext): (event: EventRow) => boolean {
    const access = accessOf(context);
    return (event) => {
      const place = { tenantId: event.tenant_id, projectId: event.project_id };
      return access.sees(kindOfId(event.resource_id) ?? scopeKind(place), place);
    };
  }
}
