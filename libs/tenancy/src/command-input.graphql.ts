import type { GraphqlContext } from '#graphql';
import type { CommandOptions } from '#identity';
import { optionsOf, type CommandInput } from '#identity/api';

/** What mutations of one tenant or project have in common. */
export interface Target extends CommandInput {
  readonly id: string;
  readonly expectedVersion?: number | null;
}

type WithoutNulls<Value> = Value extends readonly (infer Item)[]
  ? WithoutNulls<Item>[]
  : Value extends object
    ? { -readonly [Key in keyof Value]: WithoutNulls<Exclude<Value[Key], null>> }
    : Value;

/** A mutation's input as its service takes it: how it is to be run apart from what, and nulls as if they were not given. */
export function commandOf<Input extends CommandInput>(
  input: Input,
  context: GraphqlContext,
): { command: WithoutNulls<Omit<Input, 'dryRun'>>; options: CommandOptions } {
  const { dryRun: _dryRun, ...command } = input;
  return { command: withoutNulls(command) as WithoutNulls<Omit<Input, 'dryRun'>>, options: optionsOf(input, context) };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, item]) => (item == null ? [] : [[key, withoutNulls(item)]])));
}
