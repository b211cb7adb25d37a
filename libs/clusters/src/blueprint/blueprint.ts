import type { Capabilities } from '#drivers';
import type { ClusterKind } from '../version/cluster-version.js';
import type { NodeRole } from '../node/cluster-node.js';

/**
 * What makes a kind of cluster that kind. The engine around it (admission, operations, healing) is one for all; a blueprint
 * only says what is to run where. It does no I/O of its own: everything here is a function of its arguments and chance.
 */
export interface Blueprint {
  readonly kind: ClusterKind;
  /** Where the API listens, on the load balancer and on each control node. */
  readonly apiPort: number;
  /** How many control nodes a cluster of this kind may have. */
  readonly controlCounts: readonly number[];
  /** Whether control nodes may join at the same time, and workers beside them; otherwise each changes who must agree, one after another. */
  readonly joinsTogether: boolean;
  /** What a backend must be able to do to run nodes of this kind. */
  readonly needs: readonly (keyof Capabilities)[];
  /** Where the API answers at a name or address, as the kind's own tools write it. */
  apiEndpoint(address: string): string;

  /** cloud-init user data of a node, with no secret in it; what differs between nodes of a role comes by guest run. */
  userData(node: PlannedNode): string;

  /** Everything secret that a cluster is founded on, as text to be kept encrypted (at most 64 KiB). Opaque to the engine. */
  createSecrets(): Promise<string>;
  /** A secret by which nodes join for a while; a new one for every operation that adds nodes. Null where the cluster makes it. */
  createJoinToken(): string | null;

  /** Makes the cluster on its first control node, and lets nodes join by the token if there is one. */
  initialise(cluster: BlueprintCluster, node: BlueprintNode, secrets: ClusterSecrets): Promise<GuestScript>;
  /**
   * On a control node: lets nodes join from now on, for as long as an operation may take. Where the cluster makes the
   * secret for that itself, the script answers with it.
   */
  openJoining(cluster: BlueprintCluster, secrets: ClusterSecrets): GuestScript;
  /** On the joining node. */
  join(cluster: BlueprintCluster, node: BlueprintNode, secrets: ClusterSecrets): Promise<GuestScript>;
  /**
   * On a control node, when nodes have joined (or will not, then with none): nothing joins any more by the secret that
   * was used, and the cluster knows what the nodes are for. Left out where neither has to be said.
   */
  closeJoining?(cluster: BlueprintCluster, joined: readonly BlueprintNode[]): GuestScript;
  /** On the node itself: exit code 0 says that it takes its part in the cluster. */
  checkReady(cluster: BlueprintCluster, node: BlueprintNode): GuestScript & { brief: true };
  /** On a control node: takes what runs on the node elsewhere and keeps new things off it. */
  drain(cluster: BlueprintCluster, node: BlueprintNode, options: DrainOptions): GuestScript;
  /** On a control node: takes `drain` back. */
  undrain(cluster: BlueprintCluster, node: BlueprintNode): GuestScript;
  /** On another control node: the cluster forgets the node, which may be dead. Of a control node its vote, too. */
  remove(cluster: BlueprintCluster, node: BlueprintNode): GuestScript;

  /** Short-lived credentials for one user's own tools. */
  credentials(cluster: BlueprintCluster, secrets: string, request: CredentialRequest): Promise<Credentials>;
}

/** What is known of a node before it has an address. */
export interface PlannedNode {
  name: string;
  role: NodeRole;
  /** The product's version, as `1.34.2`. */
  release: string;
}

export interface BlueprintCluster {
  id: string;
  name: string;
  release: string;
  /** The load balancer's. */
  apiAddress: string;
  /** Further names and addresses of the API for clients from outside of its network; the first is what they are told. */
  externalAddresses: readonly string[];
  /** Of the control nodes that have joined, the healthiest first. */
  controlAddresses: readonly string[];
}

/** Where clients find the API. */
export function clientAddress({ apiAddress, externalAddresses }: BlueprintCluster): string {
  return externalAddresses[0] ?? apiAddress;
}

export interface BlueprintNode {
  machineId: string;
  /** The guest's host name. */
  name: string;
  role: NodeRole;
  address: string;
  zoneId: string;
  /** Null for control nodes. */
  pool: { name: string; labels: Readonly<Record<string, string>> } | null;
}

export interface ClusterSecrets {
  /** As `createSecrets` made it. */
  foundation: string;
  /** As `createJoinToken` made it, or what `openJoining` answered, as JSON; null before that. */
  joinToken: string | null;
}

/**
 * A script for `/bin/sh` in a guest. It may be run again after it was broken off at any point, and then must come to the
 * same end. Its text holds no secret: those come on standard input, which nobody keeps. Exit code 0 is success, and beside
 * `answers` the only thing that is judged.
 */
export interface GuestScript {
  /** The same text for the same arguments. */
  script: string;
  standardInput?: string;
  /**
   * What the script tells when it succeeds, as lines `name=value` on standard output, each of these names once. The values
   * are secret: they are sealed as they come and kept nowhere else.
   */
  answers?: readonly string[];
  timeoutSeconds: number;
  /** It only looks: the guest need not remember for long that it has run. */
  brief?: boolean;
}

export interface DrainOptions {
  /** Nothing on the node can answer any more: what ran there is given up instead of waited for. */
  unreachable: boolean;
}

export interface CredentialRequest {
  /** Who the cluster and its audit log see. */
  user: string;
  groups: readonly string[];
  validMinutes?: number;
}

export interface Credentials {
  /** For the kind's own tools, under the names that those look for. One holds a private key: handed to the caller, never stored. */
  files: readonly CredentialFile[];
  /** Names them in the audit log. */
  serialNumber: string;
  expiresAt: Date;
}

export interface CredentialFile {
  name: string;
  content: string;
}
