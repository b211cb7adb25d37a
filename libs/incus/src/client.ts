import { ClusterMembers } from './cluster/cluster-members.js';
import { Session, type SessionOptions } from './connection/session.js';
import { EventStream, type EventListener, type EventOptions } from './event/event-stream.js';
import { Images } from './image/images.js';
import { Instances } from './instance/instances.js';
import { Operations } from './operation/operations.js';
import { Certificates } from './server/certificates.js';
import { Profiles } from './server/profiles.js';
import { Servers } from './server/server.js';
import { StoragePools } from './storage/storage-pools.js';

/**
 * The REST API of Incus 6.0 through one member; any member of a cluster can do everything, so that with more endpoints than
 * one another is asked when one cannot be reached.
 *
 * Every call ends: each has a timeout (30 s if none is given) and takes an AbortSignal. Reading is repeated when the
 * connection fails; PUT, PATCH and DELETE only when they never left; POST then only to another member. All that goes wrong is an `IncusError`,
 * whose `outcomeUnknown` says that a change may have been made although its answer was lost.
 */
export class IncusClient {
  readonly server: Servers;
  readonly certificates: Certificates;
  readonly cluster: ClusterMembers;
  readonly instances: Instances;
  readonly images: Images;
  readonly profiles: Profiles;
  readonly storagePools: StoragePools;
  readonly operations: Operations;
  private readonly session: Session;

  constructor(options: SessionOptions) {
    this.session = new Session(options);
    this.server = new Servers(this.session);
    this.certificates = new Certificates(this.session);
    this.cluster = new ClusterMembers(this.session);
    this.instances = new Instances(this.session);
    this.images = new Images(this.session);
    this.profiles = new Profiles(this.session);
    this.storagePools = new StoragePools(this.session);
    this.operations = new Operations(this.session);
  }

  /** Listens until the stream is closed. */
  listen(listener: EventListener, options: EventOptions = {}): EventStream {
    return new EventStream(this.session, listener, options);
  }

  /** Ends all connections; calls under way fail. */
  close(): void {
    this.session.close();
  }
}
