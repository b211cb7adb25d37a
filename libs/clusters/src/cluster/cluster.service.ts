import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, parseInput, type JsonObject } from '#core';
import { resolveFlavors } from '#compute';
import { ChangeSet, ROWS, versionConflict, type Reader } from '#database';
import { Action, CommandRunner, type Access, type CommandOptions, type CommandResult, type Place, type ResourceKind } from '#identity';
import { DriverRegistry } from '#infrastructure';
import { resolveNetwork, usableExternalNetwork } from '#network';
import { busyOr, lockResources, operationId, OPERATIONS } from '#operations';
import { QuotaLedger } from '#quota';
import { findScopes, requireActive } from '#scopes';
import { SecretService } from '#secrets';
import { clientAddress, type CredentialFile, type Credentials } from '../blueprint/blueprint.js';
import { blueprintOf } from '../blueprint/blueprints.js';
import { clusterForBlueprint, readOneCluster } from '../guest/cluster-facts.js';
import { findClusterNodes } from '../node/cluster-node.sql.js';
import type { PlanningTools } from '../node/node-plan.js';
import { nodePoolId } from '../node-pool/node-pool.js';
import { nodePoolFields, type NodePoolFields } from '../node-pool/node-pool-input.js';
import { ClusterKind } from '../version/cluster-version.js';
import { resolveClusterVersion } from '../version/cluster-version.service.js';
import { CLUSTER_CREATE } from './cluster-create.operation.js';
import { planClusterDeletion } from './cluster-delete-plan.js';
import { planHealing } from './cluster-heal-plan.js';
import { clusterRows, planTree, type ClusterShape } from './cluster-plan.js';
import { imageOfVersion, lockScopes, requireRoomForImage, zoneChooser } from './cluster-resolve.js';
import { clusterId, CONTROL_COUNTS, MAX_POOLS, MAX_WORKERS, type ClusterRow } from './cluster.js';
import { findClusterByName, findVisibleClusters } from './cluster.sql.js';
import { groupsFor, userFor } from './credential-subject.js';
import { previewQuota } from './quota-preview.js';

const reference = z.string().min(1).max(100);
const MINUTE_MS = 60_000;
const MAX_TTL_MINUTES = 5 * 365 * 24 * 60;
const ttlMinutes = z.int().min(1).max(MAX_TTL_MINUTES, `A cluster lives at most ${MAX_TTL_MINUTES} minutes by a time to live; leave it out for ever.`);

export const createClusterInput = z.strictObject({
  projectId: reference,
  name: nameSchema,
  kind: z.enum(ClusterKind).default('KUBERNETES'),
  /** Id, name or release, as `1.34.2`. */
  version: reference,
  /** Id or name of a network of the project; one is made for the cluster, and goes with it, when left out. */
  network: reference.optional(),
  /** Id or name of the external network that the API gets an address of. */
  externalNetwork: reference.optional(),
  controlPlane: z.strictObject({
    count: z.literal(CONTROL_COUNTS, 'A cluster has 1, 3 or 5 control nodes.').default(3),
    /** Id or name. */
    flavor: reference,
    /** Ids or names; all that the tenant may use when left out. */
    zones: z.array(reference).max(20).default([]),
  }),
  nodePools: z.array(z.strictObject(nodePoolFields)).max(MAX_POOLS, `A cluster has at most ${MAX_POOLS} node pools.`).default([]),
  /** After so many minutes it is deleted by itself. */
  ttlMinutes: ttlMinutes.optional(),
});
export type CreateClusterInput = z.input<typeof createClusterInput>;

const setTtlInput = z.strictObject({ id: reference, ttlMinutes: ttlMinutes.nullable() });
const credentialsInput = z.strictObject({ id: reference, validMinutes: z.int().min(1).max(24 * 60, 'Credentials hold for at most a day.').optional() });

export interface ClusterChangeOptions extends CommandOptions {
  /** Refused with CONFLICT when the cluster's version is another. */
  expectedVersion?: number | undefined;
}

export interface MintedCredentials {
  clusterId: string;
  /** Names the certificate in the audit log. */
  serialNumber: string;
  expiresAt: Date;
}

export interface KubeconfigResult extends MintedCredentials {
  /** Null when an idempotency key repeats the request: it is stored nowhere. */
  kubeconfig: string | null;
}

export interface DockerBundleResult extends MintedCredentials {
  /** Null when an idempotency key repeats the request: it is stored nowhere. */
  bundle: DockerBundle | null;
}

/** What the stock `docker` client needs to reach the managers of a Swarm cluster. */
export interface DockerBundle {
  /** For the variable DOCKER_HOST. */
  host: string;
  /** For the folder that DOCKER_CERT_PATH names. */
  files: readonly CredentialFile[];
}

interface CredentialsRequest {
  id: string;
  validMinutes?: number | undefined;
}

type Located = ClusterRow & Place;

/** The rules of clusters: plan and apply. */
@Injectable()
export class ClusterService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly ledger: QuotaLedger,
    private readonly drivers: DriverRegistry,
    private readonly secrets: SecretService,
  ) {}

  private get planning(): PlanningTools {
    return { drivers: this.drivers, secrets: this.secrets };
  }

  /**
   * Admits a cluster with everything that it stands on, all or nothing, and starts to make it.
   * @throws UNSUPPORTED of the kind; NOT_FOUND, INVALID_STATE of what it names; ALREADY_EXISTS; QUOTA_EXCEEDED;
   * INSUFFICIENT_CAPACITY with the explanation
   */
  async create(access: Access, raw: CreateClusterInput, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createClusterInput, raw);
    const place: Place = { tenantId: null, projectId: input.projectId };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const { tenantId, projectId } = await requireProject(reader, access, input.projectId);
      place.tenantId = tenantId;
      const { shape, versionId } = await resolveShape(reader, { tenantId, projectId }, input);
      const { changes: treeChanges, unplaced, lockIds, ...tree } = await planTree(reader, access, this.planning, shape, { explain: options.dryRun === true });
      const changes = clusterRows(shape, tree, {
        versionId,
        controlZoneIds: input.controlPlane.zones.length === 0 ? [] : shape.control.zoneIds,
        expiresAt: input.ttlMinutes === undefined ? null : new Date(Date.now() + input.ttlMinutes * MINUTE_MS),
        pools: shape.pools.map((pool, index) => {
          const asked = input.nodePools[index];
          return { id: pool.id, zoneIds: (asked?.zones ?? []).length === 0 ? [] : pool.zoneIds, labels: asked?.labels ?? {} };
        }),
      });
      changes.include(treeChanges);
      const [twin] = await reader.rows(findClusterByName, projectId, input.name);
      if (twin !== undefined) {
        changes.problems.push(new MuonError('ALREADY_EXISTS', 'A cluster of this name exists already in the project.', { field: 'input.name' }).toRecord());
      }
      lockScopes(changes, { tenantId, projectId }, 'ACTIVE');
      const operation = operationId.create();
      lockResources(changes, operation, lockIds);
      const { clusterId: id } = shape;
      changes.add(OPERATIONS, { id: operation, kind: CLUSTER_CREATE, resourceKind: clusterId.prefix, resourceId: id, tenantId, projectId, input: { clusterId: id } });
      await previewQuota(reader, this.ledger, changes, unplaced);
      changes.result = { id, operationId: operation };
      return changes;
    };
    return this.commands.run({ access, name: 'createCluster', input, place, ...options }, plan);
  }

  /** Takes it away with all that was made for it; whatever is under way on it is asked to cancel first. */
  async delete(access: Access, id: string, options: ClusterChangeOptions = {}): Promise<CommandResult> {
    return this.change(access, 'deleteCluster', Action.DELETE, { id }, options, async (reader, cluster) => {
      if (cluster.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The cluster "${cluster.name}" is being deleted already.`);
      return planClusterDeletion(reader, cluster);
    });
  }

  /** Says when it shall be deleted by itself, counted from now; null for never. */
  async setTtl(access: Access, raw: { id: string; ttlMinutes: number | null }, options: ClusterChangeOptions = {}): Promise<CommandResult> {
    const input = parseInput(setTtlInput, raw);
    return this.change(access, 'setClusterTtl', Action.MODIFY, input, options, async (_reader, cluster) => {
      if (cluster.lifecycle === 'DELETING') throw new MuonError('INVALID_STATE', `The cluster "${cluster.name}" is being deleted.`);
      const expiresAt = input.ttlMinutes === null ? null : new Date(Date.now() + input.ttlMinutes * MINUTE_MS);
      const { id, name, version } = cluster;
      const changes = new ChangeSet().add(ROWS, { table: 'cluster', update: { expires_at: expiresAt }, id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'cluster', id, name, data: { expiresAt: expiresAt?.toISOString() ?? null } });
      changes.result = { id, operationId: null };
      return changes;
    });
  }

  /** Replaces one node of a cluster by hand, also where healing by itself has stopped trying. */
  async replaceNode(access: Access, nodeId: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const [node] = await reader.rows(findClusterNodes, [nodeId]);
      const found = node === undefined ? undefined : { ...node, tenantId: node.tenant_id, projectId: node.project_id };
      const own = access.require(Action.MODIFY, 'node', found, nodeId, 'input.id');
      Object.assign(place, { tenantId: own.tenantId, projectId: own.projectId });
      const facts = await readOneCluster(reader, own.cluster_id);
      await requirePresent(reader, facts.row);
      const { role, pool_id: poolId, name } = own;
      const changes = await planHealing(reader, access, this.planning, facts, { type: 'NODE', nodeId, role, poolId, name });
      await previewQuota(reader, this.ledger, changes);
      return changes;
    };
    return this.commands.run({ access, name: 'replaceClusterNode', input: { id: nodeId }, place, ...options }, plan);
  }

  /**
   * Mints credentials for the caller's own tools: a fresh certificate in the caller's name, short-lived, never stored; the
   * audit log keeps its serial number. What they allow in the cluster are the rights of the caller's group there.
   * @throws NOT_FOUND, FORBIDDEN; UNSUPPORTED of another kind; INVALID_STATE while the cluster has no API yet
   */
  async createKubeconfig(access: Access, raw: CredentialsRequest, options: { idempotencyKey?: string | undefined } = {}): Promise<KubeconfigResult> {
    const command = { name: 'createKubeconfig', kind: 'KUBERNETES', action: Action.READ, ...options } as const;
    const { minted, ...result } = await this.createCredentials(access, raw, command);
    return { ...result, kubeconfig: minted?.files[0]?.content ?? null };
  }

  /**
   * The same for Swarm, which knows no rights of its own: whoever has them may do everything with its nodes, so they are
   * for those who may change the cluster.
   * @throws as createKubeconfig
   */
  async createDockerBundle(access: Access, raw: CredentialsRequest, options: { idempotencyKey?: string | undefined } = {}): Promise<DockerBundleResult> {
    const command = { name: 'createDockerBundle', kind: 'SWARM', action: Action.MODIFY, ...options } as const;
    const { minted, ...result } = await this.createCredentials(access, raw, command);
    return { ...result, bundle: minted === undefined ? null : { host: minted.endpoint, files: minted.files } };
  }

  private async createCredentials(
    access: Access,
    raw: CredentialsRequest,
    command: { name: string; kind: ClusterKind; action: Action; idempotencyKey?: string | undefined },
  ): Promise<MintedCredentials & { minted: (Credentials & { endpoint: string }) | undefined }> {
    const { name, kind, action, idempotencyKey } = command;
    const input = parseInput(credentialsInput, raw);
    // The planner puts the serial number into what is audited; the idempotency key's hash is made of what was asked.
    const audited: JsonObject = { ...input };
    const place: Place = { tenantId: null, projectId: null };
    let minted: (Credentials & { endpoint: string }) | undefined;
    const { result } = await this.commands.run({ access, name, input: audited, place, idempotencyKey }, async (reader) => {
      const cluster = await this.find(reader, access, action, input.id);
      Object.assign(place, { tenantId: cluster.tenantId, projectId: cluster.projectId });
      refuseOtherKind(cluster, kind);
      minted = await this.mint(reader, access, cluster, input.validMinutes);
      const expiresAt = minted.expiresAt.toISOString();
      Object.assign(audited, { serialNumber: minted.serialNumber, expiresAt });
      const changes = new ChangeSet();
      changes.result = { id: cluster.id, serialNumber: minted.serialNumber, expiresAt };
      return changes;
    });
    const { id, serialNumber, expiresAt } = result as { id: string; serialNumber: string; expiresAt: string };
    return { clusterId: id, serialNumber, expiresAt: new Date(expiresAt), minted };
  }

  /** @throws NOT_FOUND, FORBIDDEN */
  async find(reader: Reader, access: Access, action: Action, id: string, field = 'input.id'): Promise<Located> {
    return access.require(action, 'cluster', await this.lookUp(reader, access, id), id, field);
  }

  /** The cluster that something is to be made in. @throws NOT_FOUND, FORBIDDEN */
  async findParent(reader: Reader, access: Access, child: ResourceKind, id: string, field: string): Promise<Located> {
    return access.requireChild(child, 'cluster', await this.lookUp(reader, access, id), id, field);
  }

  private async lookUp(reader: Reader, access: Access, id: string): Promise<Located | undefined> {
    const [row] = await reader.rows(findVisibleClusters, ...access.filter('cluster'), [id]);
    return row === undefined ? undefined : { ...row, tenantId: row.tenant_id, projectId: row.project_id };
  }

  private async mint(
    reader: Reader,
    access: Access,
    cluster: Located,
    validMinutes: number | undefined,
  ): Promise<Credentials & { endpoint: string }> {
    await requirePresent(reader, cluster);
    const facts = await readOneCluster(reader, cluster.id);
    if (cluster.pki_secret === null || facts.apiAddress === null) {
      throw new MuonError('INVALID_STATE', `The cluster "${cluster.name}" has no API yet.`, { data: { state: cluster.lifecycle } });
    }
    const secrets = await this.secrets.open(reader, cluster.pki_secret, cluster.id);
    const request = { user: userFor(access), groups: groupsFor(access, cluster), ...(validMinutes === undefined ? {} : { validMinutes }) };
    const told = clusterForBlueprint(facts);
    const minted = await facts.blueprint.credentials(told, secrets.revealText(), request);
    return { ...minted, endpoint: facts.blueprint.apiEndpoint(clientAddress(told)) };
  }

  private async change(
    access: Access,
    name: string,
    action: Action,
    input: JsonObject & { id: string },
    options: ClusterChangeOptions,
    plan: (reader: Reader, cluster: Located) => Promise<ChangeSet>,
  ): Promise<CommandResult> {
    const { expectedVersion, ...rest } = options;
    const place: Place = { tenantId: null, projectId: null };
    const planner = async (reader: Reader): Promise<ChangeSet> => {
      const cluster = await this.find(reader, access, action, input.id);
      Object.assign(place, { tenantId: cluster.tenantId, projectId: cluster.projectId });
      if (expectedVersion !== undefined && expectedVersion !== cluster.version) {
        throw versionConflict('cluster', { id: cluster.id, version: expectedVersion });
      }
      return plan(reader, cluster);
    };
    const audited = { ...input, ...(expectedVersion === undefined ? {} : { expectedVersion }) };
    return this.commands.run({ access, name, input: audited, place, ...rest }, planner);
  }
}

/** @throws RESOURCE_BUSY naming who makes or deletes it; INVALID_STATE saying what it is instead */
export async function requirePresent(reader: Reader, { id, name, lifecycle }: Pick<ClusterRow, 'id' | 'name' | 'lifecycle'>): Promise<void> {
  if (lifecycle === 'PRESENT') return;
  const message = `The cluster "${name}" is ${lifecycle.toLowerCase()}.`;
  throw await busyOr(reader, id, new MuonError('INVALID_STATE', message, { data: { state: lifecycle } }));
}

/** How a user asks for credentials of each kind. */
const MINTED_BY: Partial<Record<ClusterKind, string>> = { KUBERNETES: 'createKubeconfig', SWARM: 'createDockerBundle' };

function refuseOtherKind({ name, kind }: ClusterRow, wanted: ClusterKind): void {
  if (kind === wanted) return;
  const instead = MINTED_BY[kind];
  throw new MuonError('UNSUPPORTED', `The cluster "${name}" is of kind ${kind}${instead === undefined ? '' : `: use ${instead}`}.`, {
    field: 'input.id',
    data: { kind, wanted },
  });
}

async function requireProject(reader: Reader, access: Access, projectId: string): Promise<{ tenantId: string; projectId: string }> {
  const [scope] = await reader.rows(findScopes, [projectId]);
  const row = scope?.kind === 'PROJECT' ? { tenantId: scope.tenant_id, projectId: scope.id } : undefined;
  const project = access.requireChild('cluster', 'project', row, projectId, 'input.projectId');
  if (scope !== undefined) requireActive(scope);
  return { tenantId: String(project.tenantId), projectId: project.projectId };
}

type ParsedInput = z.output<typeof createClusterInput>;

async function resolveShape(
  reader: Reader,
  place: { tenantId: string; projectId: string },
  input: ParsedInput,
): Promise<{ shape: ClusterShape; versionId: string }> {
  const blueprint = blueprintOf(input.kind);
  refusePools(input.nodePools);
  const version = await resolveClusterVersion(reader, input.kind, input.version, 'input.version');
  const image = await imageOfVersion(reader, version.image_id);
  const network = input.network === undefined ? null : await resolveNetwork(reader, place.projectId, input.network, 'input.network');
  const outside =
    input.externalNetwork === undefined ? null : await usableExternalNetwork(reader, place.tenantId, input.externalNetwork, 'input.externalNetwork');
  const wanted = [
    { reference: input.controlPlane.flavor, field: 'input.controlPlane.flavor' },
    ...input.nodePools.map((pool, index) => ({ reference: pool.flavor, field: `input.nodePools.${index}.flavor` })),
  ];
  const flavors = await resolveFlavors(reader, wanted);
  const zonesOf = await zoneChooser(reader, place.tenantId);
  const shaped = (asked: { flavor: string; count: number; zones: string[] }, field: string) => {
    const flavor = flavors.get(asked.flavor);
    if (flavor === undefined) throw invalidInput(`${field}.flavor`, 'Name a flavor.');
    requireRoomForImage(flavor, image, `${field}.flavor`);
    return { flavor, count: asked.count, zoneIds: zonesOf(asked.zones, `${field}.zones`), field };
  };
  const shape: ClusterShape = {
    clusterId: clusterId.create(),
    name: input.name,
    ...place,
    blueprint,
    release: version.release,
    image,
    networkId: network?.id ?? null,
    externalNetworkId: outside?.id ?? null,
    control: shaped(input.controlPlane, 'input.controlPlane'),
    pools: input.nodePools.map((pool, index) => ({ ...shaped(pool, `input.nodePools.${index}`), id: nodePoolId.create(), name: pool.name })),
  };
  return { shape, versionId: version.id };
}

function refusePools(pools: readonly NodePoolFields[]): void {
  const names = new Set<string>();
  for (const [index, { name }] of pools.entries()) {
    if (names.has(name)) throw invalidInput(`input.nodePools.${index}.name`, 'Two node pools of one cluster need different names.');
    names.add(name);
  }
  const workers = pools.reduce((sum, pool) => sum + pool.count, 0);
  if (workers > MAX_WORKERS) {
    throw invalidInput('input.nodePools', `A cluster has at most ${MAX_WORKERS} workers.`, { workers, maximum: MAX_WORKERS });
  }
}
