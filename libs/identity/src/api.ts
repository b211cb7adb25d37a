import { AuditResolver } from './audit/audit.graphql.js';
import { PlanResolver } from './command/plan.graphql.js';
import { PrincipalResolver } from './principal/principal.graphql.js';

export { accessOf, BearerAuthenticator, GrantedEvents } from './access/access.graphql.js';
export { CommandPayload, Plan, Problem, resultId, toPayload, toPlan, toProblem } from './command/plan.graphql.js';

export const identityResolvers = [PlanResolver, PrincipalResolver, AuditResolver];
