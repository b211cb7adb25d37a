/** For specs of rooms that stand on OVSDB: real servers, and a network that fails on demand. */
export { Proxy, type Verdict } from './proxy.js';
export { ovsdbIsMissing, run, startServer, type TestServer } from './ovsdb-server.js';
