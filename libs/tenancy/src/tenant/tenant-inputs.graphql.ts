import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Long } from '#graphql';
import { CommandInput, CommandPayload } from '#identity/api';
import { OperationPayload } from '#operations/api';
import { QuotaLineInput } from '#quota/api';
import { Project, Tenant } from '../tenancy-types.graphql.js';

@InputType({ description: 'An owner: a new user of the tenant by name, or a principal of the system by id.' })
export class TenantOwnerInput {
  @Field(() => String, { nullable: true, description: 'The name of a user who is made in the tenant.' })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: 'A principal of the system.' })
  readonly principalId?: string | null;
}

@InputType({ description: 'The first project of a tenant.' })
export class FirstProjectInput {
  @Field(() => String, { description: 'Unique in the tenant: 1 to 63 lower-case letters, digits and hyphens.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly displayName?: string | null;

  @Field(() => [QuotaLineInput], { nullable: true, description: 'Carved out of the tenant’s limits.' })
  readonly quota?: QuotaLineInput[] | null;
}

@InputType({ description: 'A new tenant, with all that it begins with.' })
export class OnboardTenantInput extends CommandInput {
  @Field(() => String, { description: 'Unique among tenants: 1 to 63 lower-case letters, digits and hyphens.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly displayName?: string | null;

  @Field(() => [QuotaLineInput], { nullable: true, description: 'Its limits; what is not named is unlimited.' })
  readonly quota?: QuotaLineInput[] | null;

  @Field(() => [TenantOwnerInput], { description: 'Who owns it: 1 to 20.' })
  readonly owners!: TenantOwnerInput[];

  @Field(() => Boolean, { nullable: true, description: 'Also make a token for the first owner, who must be a new user.' })
  readonly ownerToken?: boolean | null;

  @Field(() => [String], { nullable: true, description: 'Names or ids of the zones that it may use; all, now and later, if not given.' })
  readonly zones?: string[] | null;

  @Field(() => FirstProjectInput, { nullable: true, description: 'A first project.' })
  readonly project?: FirstProjectInput | null;
}

@InputType({ isAbstract: true })
abstract class TargetInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'The version that it must still have; CONFLICT when it has another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'What to change of a tenant.' })
export class UpdateTenantInput extends TargetInput {
  @Field(() => String, { nullable: true, description: 'For people; stays if not given.' })
  readonly displayName?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Names or ids of the zones that it may use; null for all, now and later; stays if not given.',
  })
  readonly zones?: string[] | null;
}

@InputType({ description: 'Which tenant to suspend.' })
export class SuspendTenantInput extends TargetInput {}

@InputType({ description: 'Which tenant to resume.' })
export class ResumeTenantInput extends TargetInput {}

@InputType({ description: 'Which tenant to take away.' })
export class OffboardTenantInput extends TargetInput {}

@InputType({ description: 'A new project.' })
export class CreateProjectInput extends CommandInput {
  @Field(() => ID, { description: 'Its tenant.' })
  readonly tenantId!: string;

  @Field(() => String, { description: 'Unique in the tenant: 1 to 63 lower-case letters, digits and hyphens.' })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: 'For people.' })
  readonly displayName?: string | null;

  @Field(() => [QuotaLineInput], { nullable: true, description: 'Carved out of the tenant’s limits.' })
  readonly quota?: QuotaLineInput[] | null;
}

@InputType({ description: 'What to change of a project.' })
export class UpdateProjectInput extends TargetInput {
  @Field(() => String, { description: 'For people.' })
  readonly displayName!: string;
}

@InputType({ description: 'Which project to suspend.' })
export class SuspendProjectInput extends TargetInput {}

@InputType({ description: 'Which project to resume.' })
export class ResumeProjectInput extends TargetInput {}

@InputType({ description: 'Which project to take away.' })
export class DeleteProjectInput extends TargetInput {}

@ObjectType({ isAbstract: true })
abstract class TenantPayload extends CommandPayload {
  @Field(() => Tenant, { nullable: true, description: 'It; null of a dry run.' })
  readonly tenant!: Tenant | null;
}

@ObjectType({ description: 'The tenant that was made.' })
export class OnboardTenantPayload extends TenantPayload {
  @Field(() => Project, { nullable: true, description: 'Its first project.' })
  readonly project!: Project | null;

  @Field(() => String, {
    nullable: true,
    description: 'The token of the first owner, shown this once and kept nowhere; null when an idempotency key repeats the request.',
  })
  readonly ownerToken!: string | null;
}

@ObjectType({ description: 'The tenant that was changed.' })
export class UpdateTenantPayload extends TenantPayload {}

@ObjectType({ description: 'The tenant that was suspended.' })
export class SuspendTenantPayload extends TenantPayload {}

@ObjectType({ description: 'The tenant that was resumed.' })
export class ResumeTenantPayload extends TenantPayload {}

@ObjectType({ description: 'The tenant that goes, and the operation that takes it away.' })
export class OffboardTenantPayload extends OperationPayload {
  @Field(() => Tenant, { nullable: true, description: 'It, until it is gone.' })
  readonly tenant!: Tenant | null;
}

@ObjectType({ isAbstract: true })
abstract class ProjectPayload extends CommandPayload {
  @Field(() => Project, { nullable: true, description: 'It; null of a dry run.' })
  readonly project!: Project | null;
}

@ObjectType({ description: 'The project that was made.' })
export class CreateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'The project that was changed.' })
export class UpdateProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'The project that was suspended.' })
export class SuspendProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'The project that was resumed.' })
export class ResumeProjectPayload extends ProjectPayload {}

@ObjectType({ description: 'The project that goes, and the operation that takes it away.' })
export class DeleteProjectPayload extends OperationPayload {
  @Field(() => Project, { nullable: true, description: 'It, until it is gone.' })
  readonly project!: Project | null;
}
