export { auditClaims, type ClaimDrift } from './claim/claim-audit.sql.js';
export { findDatastoreClaims, findHostClaims, type ClaimRow } from './claim/claim.sql.js';
export { claimUsers, placementReconcilers } from './claim/claim-users.js';
export {
  applyDatastoreClaims,
  applyHostClaims,
  DATASTORE_CLAIMS,
  HOST_CLAIMS,
  registerPlacementSections,
  releaseClaims,
  releaseDatastoreClaims,
  type DatastoreClaim,
  type HostClaim,
} from './claim/claims.js';
export { placeMachines } from './place/place-machines.js';
export {
  AffinityPolicy,
  AffinityScope,
  AffinityStrength,
  PlacementFilter,
  PlacementStrategy,
  type KeptPolicy,
  type Placement,
  type PlacementExplanation,
  type PlacementGroup,
  type PlacementMachine,
  type PlacementRequest,
  type PlacementResult,
  type PlannedClaim,
  type Shortage,
} from './place/request.js';
export { placementRoom } from './room.js';
