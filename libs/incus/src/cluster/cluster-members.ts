import type { CallOptions, ChangeOptions, Session, Tagged, TargetOptions } from '../connection/session.js';
import type { Operation } from '../operation/operation.js';
import type { RunningOperation } from '../operation/running-operation.js';
import { tokenText, type JoinToken } from '../server/tokens.js';
import type { Cluster, ClusterJoin, ClusterMember, ClusterMemberSettings, ClusterMemberState, Resources } from './cluster.js';

/** The cluster and its members (`/1.0/cluster`). */
export class ClusterMembers {
  constructor(private readonly session: Session) {}

  async cluster(options: CallOptions = {}): Promise<Cluster> {
    return this.session.get<Cluster>(['cluster'], options);
  }

  /** Founds a cluster or joins one; members join one after another. */
  async join(join: ClusterJoin, options: CallOptions = {}): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'PUT', path: ['cluster'], json: join });
  }

  async list(options: CallOptions = {}): Promise<ClusterMember[]> {
    return this.session.get<ClusterMember[]>(['cluster', 'members'], { ...options, query: { recursion: 1 } });
  }

  async get(name: string, options: CallOptions = {}): Promise<Tagged<ClusterMember>> {
    return this.session.getTagged<ClusterMember>(['cluster', 'members', name], options);
  }

  /** Replaces all settings: of a PATCH Incus 6.0 takes roles that are not named as roles to take away, and refuses. */
  async replace(name: string, settings: ClusterMemberSettings, { etag, ...options }: ChangeOptions = {}): Promise<void> {
    const headers: Record<string, string> = etag === undefined ? {} : { 'if-match': etag };
    await this.session.change({ ...options, method: 'PUT', path: ['cluster', 'members', name], headers, json: settings });
  }

  /** @returns what a new member of that name hands over to join, and the fingerprint of the certificate to expect */
  async createToken(name: string, options: CallOptions = {}): Promise<{ token: string; fingerprint: string }> {
    const started = await this.session.change({ ...options, method: 'POST', path: ['cluster', 'members'], json: { server_name: name } });
    const { serverName, expiresAt, ...shared } = (started.operation as Operation).metadata as unknown as JoinToken;
    return { token: tokenText({ server_name: serverName, ...shared, expires_at: expiresAt }), fingerprint: shared.fingerprint };
  }

  /** One broken pool makes this fail for the whole member; `resources` then still tells CPU and memory. */
  async state(name: string, options: CallOptions = {}): Promise<ClusterMemberState> {
    return this.session.get<ClusterMemberState>(['cluster', 'members', name, 'state'], options);
  }

  /** Hardware of the member that is asked, or of `target`. */
  async resources({ target, ...options }: TargetOptions = {}): Promise<Resources> {
    return this.session.get<Resources>(['resources'], { ...options, query: { target } });
  }

  /** @param mode of an evacuation: without one, instances on bridges that Incus does not manage are only stopped */
  async evacuate(name: string, mode?: 'stop' | 'migrate' | 'live-migrate', options: CallOptions = {}): Promise<RunningOperation> {
    return this.memberState(name, { action: 'evacuate', ...(mode === undefined ? {} : { mode }) }, options);
  }

  async restore(name: string, options: CallOptions = {}): Promise<RunningOperation> {
    return this.memberState(name, { action: 'restore' }, options);
  }

  private async memberState(name: string, json: Record<string, string>, options: CallOptions): Promise<RunningOperation> {
    return this.session.change({ ...options, method: 'POST', path: ['cluster', 'members', name, 'state'], json });
  }
}
