export { backendId, Health, type BackendId, type BackendRow } from './backend/backend.js';
export { backends, findBackends } from './backend/backend.sql.js';
export { datastoreId, DatastoreState, type DatastoreId, type DatastoreRow } from './datastore/datastore.js';
export { datastores, findDatastores } from './datastore/datastore.sql.js';
export { FailureDomain, isAsWide, MAX_FAILURES, offerOf, RedundancyMethod, type DatastoreGuarantees, type DatastoreOffer } from './datastore/guarantees.js';
export { backendGone, BackendService, requireActiveBackend, type CreateBackendInput, type UpdateBackendInput } from './backend/backend.service.js';
export { DatastoreService, type AddDatastoreInput, type UpdateDatastoreInput } from './datastore/datastore.service.js';
export { DriverRegistry, type DriverRegistryOptions } from './driver/driver-registry.js';
export * from './host/host.js';
export { EVACUATION_PACE, type EvacuationPace } from './host/host-evacuation.js';
export { heldBack, HostOccupancy, type HostOccupant, type HostOccupants } from './host/host-occupants.js';
export { HostStateNews, type HostStateChange, type HostStateListener } from './host/host-state-listener.js';
export { countHostsBehind, explainHostBehind, findHosts, findHostsBehind, hosts, markHostCurrent, markHostsBehind } from './host/host.sql.js';
export { installationId } from './installation/installation.js';
export { rackId, type RackId, type RackRow } from './rack/rack.js';
export { findRacks, racks } from './rack/rack.sql.js';
export { infrastructureRoom } from './room.js';
export { CatalogueState, zoneId, type ZoneId, type ZoneRow } from './zone/zone.js';
export { findZones, findZonesByReference, zones } from './zone/zone.sql.js';
export { Heartbeat, type HeartbeatOptions } from './heartbeat/heartbeat.js';
export { HostMaintenanceService, WhenBlocked, type EnterMaintenanceInput, type ExitMaintenanceInput } from './host/host-maintenance.js';
export { HostRegistration, MAX_HOSTS_AT_ONCE, type RegisterHostsInput } from './host/host-registration.js';
export { ENTER_MAINTENANCE, hostOperations, signalHostOccupants } from './host/host.operations.js';
export {
  HostService,
  type AttestHostOffInput,
  type HostTargetInput,
  type SuspendHostInput,
  type UpdateHostInput,
} from './host/host.service.js';
export { RackService, type CreateRackInput } from './rack/rack.service.js';
export { HOST_HEARTBEAT, infrastructureReconcilers } from './reconcilers.js';
export { BackendObjectKind, type BackendObject } from './orphan/backend-object.js';
export { KnownObjects, type KnownObjectsOfRoom } from './orphan/known-objects.js';
export { orphanOperations, REMOVE_ORPHANS } from './orphan/orphan.operations.js';
export { OrphanSweep, ReturningHosts, type OrphanReport, type OrphanSweepOptions } from './orphan/orphan-sweep.js';
export { PendingRemoval } from './usage/pending-removal.js';
export { InfrastructureUsage, type InfrastructureUsers, type UsedNoun } from './usage/usage.js';
export { backendTending } from './watch/backend-tending.js';
export { BackendWatch } from './watch/backend-watch.js';
export { ZoneVisibility, type VisibleZones } from './zone/zone-visibility.js';
export { ZoneService, type CreateZoneInput, type UpdateZoneInput } from './zone/zone.service.js';
