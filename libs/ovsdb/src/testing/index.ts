/** For specs of rooms that stand on OVSDB: real servers, certificates for them, and a network that fails on demand. */
export { TestAuthority } from './authority.js';
export { Proxy, type Verdict } from './proxy.js';
export { ovsdbIsMissing, run, startServer, type TestServer } from './ovsdb-server.js';
