import { Args, Context, Field, InputType, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, DateTime, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { CommandInput, optionsOf } from '../command/command-input.graphql.js';
import { CommandPayload, toPayload } from '../command/plan.graphql.js';
import { SystemPauseService } from './system-pause.service.js';
import { findPause } from './system-pause.sql.js';

@ObjectType({ description: 'What an operator has stopped for a while, for the whole system. Reads always go on.' })
export class SystemPause {
  @Field(() => Boolean, { description: 'Mutations are refused with SYSTEM_PAUSED and the message.' })
  readonly mutations!: boolean;

  @Field(() => Boolean, { description: 'Workers take up no operations. What one is on goes on to its next wait or its end.' })
  readonly operations!: boolean;

  @Field(() => String, { description: 'Why, and for how long: for people.' })
  readonly message!: string;

  @Field(() => DateTime, { description: 'Since when.' })
  readonly since!: Date;
}

@InputType({ description: 'What to stop, and what to tell people.' })
export class PauseSystemInput extends CommandInput {
  @Field(() => Boolean, { nullable: true, description: 'Refuse mutations; they are not if not given.' })
  readonly mutations?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'Let workers take up no operations; they may if not given.' })
  readonly operations?: boolean | null;

  @Field(() => String, { description: 'Why, and for how long: shown to whoever is refused.' })
  readonly message!: string;
}

@InputType({ description: 'Goes on with all that was stopped.' })
export class ResumeSystemInput extends CommandInput {}

@ObjectType({ description: 'What is stopped now.' })
export class SystemPausePayload extends CommandPayload {
  @Field(() => SystemPause, { nullable: true, description: 'The pause; null while there is none.' })
  readonly systemPause!: SystemPause | null;
}

@Authenticated()
@Resolver()
export class SystemPauseResolver {
  constructor(
    private readonly database: Database,
    private readonly service: SystemPauseService,
  ) {}

  @Query(() => SystemPause, { nullable: true, description: 'What an operator has stopped for the whole system; null while nothing is.' })
  async systemPause(): Promise<SystemPause | null> {
    return (await this.database.first(findPause)) ?? null;
  }

  @Mutation(() => SystemPausePayload, {
    description: 'For operators: stops mutations, operations, or both, for the whole system and within a second. Called again, it replaces what was said.',
  })
  async pauseSystem(
    @Args('input', { type: () => PauseSystemInput, description: 'What, and why.' }) input: PauseSystemInput,
    @Context() context: GraphqlContext,
  ): Promise<SystemPausePayload> {
    const { mutations, operations, message } = input;
    const command = { mutations: mutations ?? false, operations: operations ?? false, message };
    const outcome = await this.service.pause(accessOf(context), command, optionsOf(input, context));
    return { ...toPayload(outcome), systemPause: await this.systemPause() };
  }

  @Mutation(() => SystemPausePayload, { description: 'For operators: goes on with all that was stopped, within a second.' })
  async resumeSystem(
    @Args('input', { type: () => ResumeSystemInput, description: 'How.' }) input: ResumeSystemInput,
    @Context() context: GraphqlContext,
  ): Promise<SystemPausePayload> {
    const outcome = await this.service.resume(accessOf(context), optionsOf(input, context));
    return { ...toPayload(outcome), systemPause: await this.systemPause() };
  }
}
