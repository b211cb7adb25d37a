import { Field, ID, InputType, Int, ObjectType } from '@nestjs/graphql';
import { CommandInput, CommandPayload } from '#identity/api';
import { DateTime, Long } from '#graphql';
import { OperationPayload } from '#operations/api';
import { NodePoolInput } from '../node-pool/node-pool-resolver.graphql.js';
import { ClusterKind } from '../version/cluster-version.js';
import { Cluster } from './cluster.graphql.js';

@InputType({ description: 'The control nodes of a new cluster.' })
export class ControlPlaneInput {
  @Field(() => Int, { nullable: true, description: '1, 3 or 5; 3 if not given. Of 3, no two are on one host; of 5, two are where there are too few hosts. They are spread over racks and zones as far as those reach.' })
  readonly count?: number | null;

  @Field(() => String, { description: 'Id or name of their flavor.' })
  readonly flavor!: string;

  @Field(() => [String], { nullable: true, description: 'Ids or names of zones; all that the tenant may use if not given.' })
  readonly zones?: string[] | null;
}

@InputType({ description: 'A new cluster.' })
export class CreateClusterInput extends CommandInput {
  @Field(() => ID, { description: 'In which project.' })
  readonly projectId!: string;

  @Field(() => String, { description: 'Unique in the project; 1 to 63 lower-case letters, digits and hyphens.' })
  readonly name!: string;

  @Field(() => ClusterKind, { nullable: true, description: 'KUBERNETES if not given.' })
  readonly kind?: ClusterKind | null;

  @Field(() => String, { description: 'Id or name of a cluster version, or a release, as `1.34.2`.' })
  readonly version!: string;

  @Field(() => String, { nullable: true, description: 'Id or name of a network of the project; if not given, one is made for the cluster and goes with it.' })
  readonly network?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Id or name of an external network: its API gets a floating IP of it, by which clients outside find it. A network that is made for the cluster gets a router there, too, by which its nodes reach the outside; another has to be on one already.',
  })
  readonly externalNetwork?: string | null;

  @Field(() => ControlPlaneInput, { description: 'Its control nodes.' })
  readonly controlPlane!: ControlPlaneInput;

  @Field(() => [NodePoolInput], { nullable: true, description: 'Its node pools, at most 20.' })
  readonly nodePools?: NodePoolInput[] | null;

  @Field(() => Int, { nullable: true, description: 'After so many minutes it is deleted by itself; never if not given.' })
  readonly ttlMinutes?: number | null;
}

@InputType({ description: 'Which cluster to delete.' })
export class DeleteClusterInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT when the cluster\'s `version` is another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'How long a cluster shall live.' })
export class SetClusterTtlInput extends CommandInput {
  @Field(() => ID, { description: 'Which cluster.' })
  readonly id!: string;

  @Field(() => Int, { nullable: true, description: 'So many minutes from now it is deleted by itself; null for never.' })
  readonly ttlMinutes?: number | null;

  @Field(() => Long, { nullable: true, description: 'Refused with CONFLICT when the cluster\'s `version` is another.' })
  readonly expectedVersion?: number | null;
}

@InputType({ description: 'Which node to replace.' })
export class ReplaceClusterNodeInput extends CommandInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;
}

@InputType({ description: 'For which Kubernetes cluster to mint credentials. There is no plan of it: applied later, it could not show them.' })
export class CreateKubeconfigInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Int, { nullable: true, description: 'How many minutes they hold, 1 to 1440; 480 if not given. They cannot be called back.' })
  readonly validMinutes?: number | null;
}

@InputType({ description: 'For which Swarm cluster to mint credentials. There is no plan of it: applied later, it could not show them.' })
export class CreateDockerBundleInput {
  @Field(() => ID, { description: 'Its id.' })
  readonly id!: string;

  @Field(() => Int, { nullable: true, description: 'How many minutes they hold, 1 to 1440; 480 if not given. They cannot be called back.' })
  readonly validMinutes?: number | null;
}

@ObjectType({ isAbstract: true })
abstract class ClusterPayload extends OperationPayload {
  @Field(() => Cluster, { nullable: true, description: 'The cluster; null of a dry run.' })
  readonly cluster!: Cluster | null;
}

@ObjectType({ description: 'The cluster that is being made.' })
export class CreateClusterPayload extends ClusterPayload {}

@ObjectType({ description: 'The cluster that is being deleted.' })
export class DeleteClusterPayload extends ClusterPayload {}

@ObjectType({ description: 'The cluster one of whose nodes is being replaced.' })
export class ReplaceClusterNodePayload extends ClusterPayload {}

@ObjectType({ description: 'The cluster whose time to live was set.' })
export class SetClusterTtlPayload extends CommandPayload {
  @Field(() => Cluster, { nullable: true, description: 'The cluster; null of a dry run.' })
  readonly cluster!: Cluster | null;
}

@ObjectType({ description: 'Credentials that were minted.' })
export class CreateKubeconfigPayload {
  @Field(() => String, {
    nullable: true,
    description: 'A file for kubectl, with the caller\'s certificate and private key; shown this once and stored nowhere. Null when an idempotency key repeats the request.',
  })
  readonly kubeconfig!: string | null;

  @Field(() => DateTime, { description: 'Until when they hold.' })
  readonly expiresAt!: Date;

  @Field(() => String, { description: 'Names the certificate in the audit log.' })
  readonly serialNumber!: string;

  @Field(() => Cluster, { nullable: true, description: 'For which cluster.' })
  readonly cluster!: Cluster | null;
}

@ObjectType({ description: 'One file of a bundle.' })
export class DockerBundleFile {
  @Field(() => String, { description: '`ca.pem`, `cert.pem` or `key.pem`.' })
  readonly name!: string;

  @Field(() => String, { description: 'What is in it, as PEM. `key.pem` holds a private key: nobody else may read it.' })
  readonly content!: string;
}

@ObjectType({ description: 'What the stock docker client needs to reach the managers of a Swarm cluster, with DOCKER_TLS_VERIFY=1.' })
export class DockerBundle {
  @Field(() => String, { description: 'For DOCKER_HOST, as `tcp://10.32.0.9:2376`.' })
  readonly host!: string;

  @Field(() => [DockerBundleFile], { description: 'The files of the folder that DOCKER_CERT_PATH names.' })
  readonly files!: readonly DockerBundleFile[];
}

@ObjectType({ description: 'Credentials that were minted.' })
export class CreateDockerBundlePayload {
  @Field(() => DockerBundle, {
    nullable: true,
    description: 'With the caller\'s certificate and private key; shown this once and stored nowhere. Null when an idempotency key repeats the request.',
  })
  readonly bundle!: DockerBundle | null;

  @Field(() => DateTime, { description: 'Until when they hold.' })
  readonly expiresAt!: Date;

  @Field(() => String, { description: 'Names the certificate in the audit log.' })
  readonly serialNumber!: string;

  @Field(() => Cluster, { nullable: true, description: 'For which cluster.' })
  readonly cluster!: Cluster | null;
}
