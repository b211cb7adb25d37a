import { Args, ArgsType, Context, Field, ID, Info, ObjectType, Query, registerEnumType, Resolver } from '@nestjs/graphql';
import type { GraphQLResolveInfo } from 'graphql';
import type { JsonObject } from '#core';
import { Database } from '#database';
import { Authenticated, connectionOf, DateTime, JsonObjectScalar, PageArguments, pageRequest, requestedFields, toConnection, type Connection, type GraphqlContext } from '#graphql';
import { accessOf } from '../access/access.graphql.js';
import { auditEntries, AuditOutcome, auditParameters, type AuditFilter, type AuditRow } from './audit.sql.js';

registerEnumType(AuditOutcome, {
  name: 'AuditOutcome',
  description: 'What became of an attempt.',
  valuesMap: {
    ACCEPTED: { description: 'It was done, or its operation was started.' },
    PLANNED: { description: 'It was a dry run.' },
    REFUSED: { description: 'It was refused; `errorCode` says why.' },
  },
});

const OperationOutcome = { SUCCEEDED: 'SUCCEEDED', FAILED: 'FAILED', CANCELLED: 'CANCELLED' } as const;
type OperationOutcome = (typeof OperationOutcome)[keyof typeof OperationOutcome];
registerEnumType(OperationOutcome, {
  name: 'OperationOutcome',
  description: 'How the operation of an attempt ended.',
  valuesMap: {
    SUCCEEDED: { description: 'It was done.' },
    FAILED: { description: 'It failed, or was given up.' },
    CANCELLED: { description: 'It was asked to stop, and undone.' },
  },
});

@ObjectType({ description: 'One attempt to change something.' })
export class AuditEntry {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => DateTime, { description: 'When.' })
  readonly at!: Date;

  @Field(() => ID, { nullable: true, description: 'Who; null for Muon itself.' })
  readonly principalId!: string | null;

  @Field(() => ID, { nullable: true, description: 'With which token.' })
  readonly tokenId!: string | null;

  @Field(() => String, { nullable: true, description: 'From which network address.' })
  readonly address!: string | null;

  @Field(() => String, { description: 'The id of the request.' })
  readonly requestId!: string;

  @Field(() => String, { description: 'The mutation.' })
  readonly command!: string;

  @Field(() => AuditOutcome, { description: 'What became of it.' })
  readonly outcome!: AuditOutcome;

  @Field(() => String, { nullable: true, description: 'The code of the refusal.' })
  readonly errorCode!: string | null;

  @Field(() => ID, { nullable: true, description: 'The tenant that it was about.' })
  readonly tenantId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The project that it was about.' })
  readonly projectId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The resource that it was about.' })
  readonly resourceId!: string | null;

  @Field(() => ID, { nullable: true, description: 'The operation that it started.' })
  readonly operationId!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When that operation ended; null while it runs, and where there was none.' })
  readonly endedAt!: Date | null;

  @Field(() => OperationOutcome, { nullable: true, description: 'How that operation ended.' })
  readonly operationOutcome!: OperationOutcome | null;

  @Field(() => String, { nullable: true, description: 'The code of why that operation failed.' })
  readonly operationErrorCode!: string | null;

  @Field(() => JsonObjectScalar, { description: 'What was asked, without secrets.' })
  readonly input!: JsonObject;
}

const AuditEntryConnection = connectionOf(AuditEntry);

@ArgsType()
class AuditArguments extends PageArguments {
  @Field(() => ID, { nullable: true, description: 'Only what was about this resource.' })
  readonly resourceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only what was about this tenant.' })
  readonly tenantId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only what was about this project.' })
  readonly projectId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only what this principal did.' })
  readonly principalId?: string | null;

  @Field(() => String, { nullable: true, description: 'Only this mutation, as `createDisk`.' })
  readonly command?: string | null;

  @Field(() => AuditOutcome, { nullable: true, description: 'Only what ended so.' })
  readonly outcome?: AuditOutcome | null;

  @Field(() => ID, { nullable: true, description: 'Only what this operation came from.' })
  readonly operationId?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Not before this time.' })
  readonly since?: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'Before this time.' })
  readonly until?: Date | null;
}

function toEntry(row: AuditRow): AuditEntry {
  return {
    id: row.id,
    at: row.at,
    principalId: row.principal_id,
    tokenId: row.token_id,
    address: row.address,
    requestId: row.request_id,
    command: row.command,
    outcome: row.outcome,
    errorCode: row.error_code,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    resourceId: row.resource_id,
    operationId: row.operation_id,
    endedAt: row.ended_at,
    operationOutcome: row.operation_state,
    operationErrorCode: row.operation_error_code,
    input: row.input as JsonObject,
  };
}

function filterOf(args: AuditArguments): Partial<AuditFilter> {
  const { resourceId = null, tenantId = null, projectId = null, principalId = null, command = null } = args;
  const { outcome = null, operationId = null, since = null, until = null } = args;
  return { resourceId, tenantId, projectId, principalId, command, outcome, operationId, since, until };
}

@Authenticated()
@Resolver()
export class AuditResolver {
  constructor(private readonly database: Database) {}

  @Query(() => AuditEntryConnection, { description: 'Who changed what, or tried to, in the scopes that the caller owns; newest first.' })
  async auditEntries(
    @Args() args: AuditArguments,
    @Context() context: GraphqlContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<Connection<AuditEntry>> {
    const parameters = auditParameters(accessOf(context).filter('audit entry'), filterOf(args));
    const page = await auditEntries.page(this.database, parameters, 'NEWEST', pageRequest(args));
    const total = requestedFields(info).has('totalCount') ? await auditEntries.count(this.database, parameters) : undefined;
    return toConnection(page, toEntry, total);
  }
}
