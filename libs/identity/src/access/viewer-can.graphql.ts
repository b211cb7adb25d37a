import { ResolveField, Resolver } from '@nestjs/graphql';
import { Node, type GraphqlContext } from '#graphql';
import { accessOf } from './access.graphql.js';
import { kindOfId } from './resource-kind.js';
import { Action, ACTIONS } from './role.js';

/** Gives every node the field `viewerCan`, from the rights that the request has in memory. */
@Resolver(() => Node)
export class ViewerCanResolver {
  // Undecorated parameters: called once a row of a list.
  @ResolveField('viewerCan', () => [Action], { description: 'What the caller may do to it. CREATE_CHILD means to make others of its kind beside it.' })
  viewerCan(node: Node, _args: unknown, context: GraphqlContext): Action[] {
    const access = accessOf(context);
    const kind = kindOfId(node.id);
    // What is shared, as a zone, is seen without a right of one's own.
    return ACTIONS.filter((action) => action === Action.READ || (kind !== undefined && access.can(action, kind, node.home)));
  }
}
