import { Injectable, SetMetadata, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { MuonError } from '#core';
import type { GraphqlContext } from './context.js';

/** Who may call a field at all. What a caller may see or do there is decided by services. */
export type Access = 'PUBLIC' | 'AUTHENTICATED';

export const ACCESS_METADATA = 'muon:graphql:access';

/** The field answers anybody, signed in or not. */
export const Public = (): MethodDecorator & ClassDecorator => SetMetadata(ACCESS_METADATA, 'PUBLIC' satisfies Access);

/** The field answers only callers who presented a valid credential. On a class it speaks for all its fields. */
export const Authenticated = (): MethodDecorator & ClassDecorator =>
  SetMetadata(ACCESS_METADATA, 'AUTHENTICATED' satisfies Access);

/**
 * Denies by default: it runs before every field of Query, Mutation and Subscription, however its resolver is provided,
 * and lets through only what is declared public or has a principal.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  readonly #reflector = new Reflector();

  canActivate(execution: ExecutionContext): boolean {
    // HTTP controllers (health, metrics) are the app's own and not part of the API.
    if (execution.getType<'graphql'>() !== 'graphql') return true;
    const access = this.#reflector.getAllAndOverride<Access | undefined>(ACCESS_METADATA, [
      execution.getHandler(),
      execution.getClass(),
    ]);
    if (access === 'PUBLIC') return true;
    const context = execution.getArgByIndex<GraphqlContext>(2);
    if (access === 'AUTHENTICATED' && context.principal !== undefined) return true;
    throw new MuonError('UNAUTHENTICATED', 'Sign in first: a valid credential is needed here.');
  }
}
