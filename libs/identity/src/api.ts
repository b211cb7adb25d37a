import { ViewerCanResolver } from './access/viewer-can.graphql.js';
import { AuditResolver } from './audit/audit.graphql.js';
import { IssuerResolver } from './issuer/issuer.graphql.js';
import { PlanResolver } from './command/plan.graphql.js';
import { RoleBindingResolver } from './binding/role-binding.graphql.js';
import { GroupResolver } from './group/group.graphql.js';
import { SystemPauseResolver } from './pause/system-pause.graphql.js';
import { PrincipalResolver } from './principal/principal.graphql.js';
import { ReviewResolver } from './review/review.graphql.js';
import { CustomRoleResolver } from './role/custom-role.graphql.js';

export { accessOf, BearerAuthenticator, BudgetMeter, GrantedEvents, onlyForMembers } from './access/access.graphql.js';
export { CommandInput, commandOf, given, optionsOf } from './command/command-input.graphql.js';
export { CommandPayload, Plan, Problem, resultId, toPayload, toPlan, toProblem } from './command/plan.graphql.js';

export const identityResolvers = [ViewerCanResolver, PlanResolver, PrincipalResolver, RoleBindingResolver, CustomRoleResolver, GroupResolver, IssuerResolver, SystemPauseResolver, ReviewResolver, AuditResolver];
