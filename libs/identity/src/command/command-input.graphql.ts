import { Field, InputType } from '@nestjs/graphql';
import type { GraphqlContext } from '#graphql';
import type { CommandOptions } from './command-options.js';

/** What every mutation's input has. */
@InputType({ isAbstract: true })
export abstract class CommandInput {
  @Field(() => Boolean, { nullable: true, description: 'Only plan.' })
  readonly dryRun?: boolean | null;
}

/** How a mutation is to be run, from its input and the request. */
export function optionsOf(input: CommandInput, context: GraphqlContext): CommandOptions {
  return { dryRun: input.dryRun === true, idempotencyKey: context.idempotencyKey };
}

type Given<Input, Kept extends keyof Input = never> = {
  -readonly [Key in keyof Input]: Key extends Kept ? Input[Key] : Exclude<Input[Key], null>;
};

/** Nulls as if they were not given, except where null says something. */
export function given<Input extends object, Kept extends keyof Input = never>(input: Input, kept: readonly Kept[] = []): Given<Input, Kept> {
  const entries = Object.entries(input).filter(([key, value]) => value !== undefined && (value !== null || kept.includes(key as Kept)));
  return Object.fromEntries(entries) as Given<Input, Kept>;
}

/** A mutation's input as its service takes it: how it is to be run apart from what. */
export function commandOf<Input extends CommandInput, Kept extends Exclude<keyof Input, 'dryRun'> = never>(
  input: Input,
  context: GraphqlContext,
  kept: readonly Kept[] = [],
): { command: Given<Omit<Input, 'dryRun'>, Kept>; options: CommandOptions } {
  const { dryRun: _dryRun, ...rest } = input;
  return { command: given(rest, kept), options: optionsOf(input, context) };
}
