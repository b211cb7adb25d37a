import { Args, Context, Mutation, Resolver } from '@nestjs/graphql';
import { Database } from '#database';
import { Authenticated, forgetLoaded, type GraphqlContext } from '#graphql';
import type { CommandResult } from '#identity';
import { accessOf, toPayload } from '#identity/api';
import { toOperationPayload } from '#operations/api';
import { given } from '../given.js';
import {
  CreateClusterInput,
  CreateClusterPayload,
  CreateDockerBundleInput,
  CreateDockerBundlePayload,
  CreateKubeconfigInput,
  CreateKubeconfigPayload,
  DeleteClusterInput,
  DeleteClusterPayload,
  ReplaceClusterNodeInput,
  ReplaceClusterNodePayload,
  SetClusterTtlInput,
  SetClusterTtlPayload,
} from './cluster-inputs.graphql.js';
import { loadCluster } from './cluster.graphql.js';
import { ClusterService, type ClusterChangeOptions, type CreateClusterInput as NewCluster } from './cluster.service.js';

@Authenticated()
@Resolver()
export class ClusterMutations {
  constructor(
    private readonly database: Database,
    private readonly service: ClusterService,
  ) {}

  @Mutation(() => CreateClusterPayload, {
    description: 'Makes a cluster: everything that it stands on is admitted at once, or nothing is; then an operation makes it.',
  })
  async createCluster(
    @Args('input', { type: () => CreateClusterInput, description: 'What to make.' }) input: CreateClusterInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateClusterPayload> {
    const { dryRun, ...rest } = input;
    // The service checks what the types do not say: bounds, names, and that labels are texts.
    const wanted = given(rest) as unknown as NewCluster;
    const outcome = await this.service.create(accessOf(context), wanted, { dryRun: dryRun ?? false, idempotencyKey: context.idempotencyKey });
    return this.payload(outcome, context);
  }

  @Mutation(() => DeleteClusterPayload, {
    description: 'Deletes a cluster with all that was made for it. What is under way on it is asked to cancel, and the deletion runs next.',
  })
  async deleteCluster(
    @Args('input', { type: () => DeleteClusterInput, description: 'Which.' }) input: DeleteClusterInput,
    @Context() context: GraphqlContext,
  ): Promise<DeleteClusterPayload> {
    return this.payload(await this.service.delete(accessOf(context), input.id, options(input, context)), context);
  }

  @Mutation(() => ReplaceClusterNodePayload, {
    description: 'Replaces a node of a cluster: it is deleted, and a new one joins. Refused while nobody can prove that a silent host is off, and when the control nodes that stay could not let a new one join.',
  })
  async replaceClusterNode(
    @Args('input', { type: () => ReplaceClusterNodeInput, description: 'Which.' }) input: ReplaceClusterNodeInput,
    @Context() context: GraphqlContext,
  ): Promise<ReplaceClusterNodePayload> {
    const running = { dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
    return this.payload(await this.service.replaceNode(accessOf(context), input.id, running), context);
  }

  @Mutation(() => SetClusterTtlPayload, { description: 'Says when a cluster is deleted by itself, or that it is not.' })
  async setClusterTtl(
    @Args('input', { type: () => SetClusterTtlInput, description: 'Which, and how long.' }) input: SetClusterTtlInput,
    @Context() context: GraphqlContext,
  ): Promise<SetClusterTtlPayload> {
    const wanted = { id: input.id, ttlMinutes: input.ttlMinutes ?? null };
    const outcome = await this.service.setTtl(accessOf(context), wanted, options(input, context));
    forgetLoaded(context);
    return { ...toPayload(outcome), cluster: await loadCluster(this.database, context, outcome.result.id) };
  }

  @Mutation(() => CreateKubeconfigPayload, {
    description: 'Mints a kubeconfig for the caller: a fresh, short-lived certificate in the caller\'s name, never stored; the audit log keeps its serial number.',
  })
  async createKubeconfig(
    @Args('input', { type: () => CreateKubeconfigInput, description: 'For which cluster.' }) input: CreateKubeconfigInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateKubeconfigPayload> {
    const wanted = { id: input.id, validMinutes: input.validMinutes ?? undefined };
    const { clusterId, ...minted } = await this.service.createKubeconfig(accessOf(context), wanted, { idempotencyKey: context.idempotencyKey });
    return { ...minted, cluster: await loadCluster(this.database, context, clusterId) };
  }

  @Mutation(() => CreateDockerBundlePayload, {
    description: 'Mints credentials of a Swarm cluster for the caller: a fresh, short-lived certificate in the caller\'s name, never stored; the audit log keeps its serial number. Swarm knows no rights of its own: they allow everything, so they are for those who may change the cluster.',
  })
  async createDockerBundle(
    @Args('input', { type: () => CreateDockerBundleInput, description: 'For which cluster.' }) input: CreateDockerBundleInput,
    @Context() context: GraphqlContext,
  ): Promise<CreateDockerBundlePayload> {
    const wanted = { id: input.id, validMinutes: input.validMinutes ?? undefined };
    const { clusterId, ...minted } = await this.service.createDockerBundle(accessOf(context), wanted, { idempotencyKey: context.idempotencyKey });
    return { ...minted, cluster: await loadCluster(this.database, context, clusterId) };
  }

  private async payload(outcome: CommandResult, context: GraphqlContext) {
    const payload = await toOperationPayload(this.database, context, outcome);
    return { ...payload, cluster: await loadCluster(this.database, context, outcome.result.id) };
  }
}

function options(input: { expectedVersion?: number | null; dryRun?: boolean | null }, context: GraphqlContext): ClusterChangeOptions {
  return { expectedVersion: input.expectedVersion ?? undefined, dryRun: input.dryRun ?? false, idempotencyKey: context.idempotencyKey };
}
