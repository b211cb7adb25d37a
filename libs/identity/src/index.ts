export * from './access/access.js';
export { AuditOutcome, auditEntries, type AuditRow } from './audit/audit.sql.js';
export { CommandRunner, planId, type Command, type CommandResult, type Planner, type StoredPlan } from './command/command-runner.js';
export { Authenticator } from './principal/authenticator.js';
export { bootstrapOwner, principalId, roleBindingId } from './principal/bootstrap.js';
export { findPrincipals, findTokens, type PrincipalRow, type TokenRow } from './principal/principal.sql.js';
export { createToken, readToken, tokenId, type NewToken } from './principal/token.js';
export { identityRoom } from './room.js';
