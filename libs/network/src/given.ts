/** What a client gave: GraphQL lets it leave out an optional field or say null, and means the same by both. */
export type Given<Input> = { [Key in keyof Input as null extends Input[Key] ? never : Key]: Input[Key] } & {
  [Key in keyof Input as null extends Input[Key] ? Key : never]?: Exclude<Input[Key], null | undefined>;
};

export function given<Input extends object>(input: Input): Given<Input> {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null && value !== undefined)) as Given<Input>;
}
