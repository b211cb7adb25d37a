import { ArgsType, Field, Int } from '@nestjs/graphql';
import { invalidInput } from '#core';
import { Cursor } from '../scalars.js';

export const MAX_PAGE_SIZE = 100;
export const DEFAULT_PAGE_SIZE = 50;

/** The arguments of every list, after the Relay cursor connections specification. */
@ArgsType()
export class PageArguments {
  @Field(() => Int, {
    nullable: true,
    description: `How many to return from the start, or after \`after\`: 1 to ${MAX_PAGE_SIZE}; ${DEFAULT_PAGE_SIZE} if not given.`,
  })
  readonly first?: number | null;

  @Field(() => Cursor, { nullable: true, description: 'Return those after this place; goes with `first`.' })
  readonly after?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `How many to return from the end, or before \`before\`: 1 to ${MAX_PAGE_SIZE}.`,
  })
  readonly last?: number | null;

  @Field(() => Cursor, { nullable: true, description: 'Return those before this place; goes with `last`.' })
  readonly before?: string | null;
}

/** Which page is asked for: `first` with or without `after`, or `last` with or without `before`. */
export interface PageRequest {
  first?: number;
  after?: string;
  last?: number;
  before?: string;
}

/**
 * The page that a client asks for, with nulls removed.
 * @throws INVALID_INPUT when a size is out of bounds or both directions are mixed.
 */
export function pageRequest(args: PageArguments): PageRequest {
  const { first, after, last, before } = args;
  const isBackward = last != null || (before != null && first == null);
  if (isBackward) {
    if (first != null) throw invalidInput('first', 'Give first or last, not both.');
    if (after != null) throw invalidInput('after', 'Going backward takes last and before, not after.');
    return { last: pageSize('last', last), ...(before == null ? {} : { before }) };
  }
  if (before != null) throw invalidInput('before', 'Going forward takes first and after, not before.');
  return { first: pageSize('first', first), ...(after == null ? {} : { after }) };
}

function pageSize(field: string, size: number | null | undefined): number {
  if (size == null) return DEFAULT_PAGE_SIZE;
  if (size >= 1 && size <= MAX_PAGE_SIZE) return size;
  throw invalidInput(field, `A page has 1 to ${MAX_PAGE_SIZE} items.`, { maximum: MAX_PAGE_SIZE });
}
