/** What rooms use in their `*.graphql.ts`. The server itself is behind `#graphql/api`. */
export { Authenticated, Public } from './access.js';
export { BoundedQueue, DEFAULT_QUEUE_SIZE, type BoundedQueueOptions } from './bounded-queue.js';
export type { Authentication, Authenticator, GraphqlContext, PresentedCredential, RequestMeter } from './context.js';
export { assertDescribed } from './described.js';
export { forgetLoaded, loader, MAX_LOADER_BATCH, type BatchFunction } from './loader.js';
export { connectionOf, PageInfo, toConnection, type Connection, type Edge, type Page } from './relay/connection.js';
export { listOrder, type ListOrder } from './relay/list-order.js';
export { MAX_NODES, Node, NodeRegistry, type NodeLoader } from './relay/node.js';
export { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageArguments, pageRequest, type PageRequest } from './relay/page-arguments.js';
export { requestedFields, type SelectionInfo } from './requested-fields.js';
export { Cursor, DateTime, JsonObjectScalar, Long } from './scalars.js';
