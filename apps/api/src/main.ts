import { createLogger } from '#core';
import { driversOf } from '../../composition/src/backends.js';
import { configurationFrom } from '../../composition/src/configuration.js';
import { openHouse } from '../../composition/src/house.js';
import { releaseStartUpMemory, untilStopped } from '../../composition/src/process.js';
import { startApi } from './api.js';

const configuration = configurationFrom(process.env);
const log = createLogger('muon-api', configuration.MUON_LOG_LEVEL);
const house = await openHouse({ configuration, log, applicationName: 'muon api', drivers: driversOf(configuration, log) });
const api = await startApi(house, {
  host: configuration.MUON_HTTP_HOST,
  port: configuration.MUON_HTTP_PORT,
  trustedProxies: configuration.MUON_TRUSTED_PROXIES,
  graphiql: configuration.MUON_GRAPHIQL ? {} : false,
  shutdownDelayMs: configuration.MUON_SHUTDOWN_DELAY_MS,
});
releaseStartUpMemory();
log.info({ url: api.url, node: process.version }, 'the api is ready');
await untilStopped(log);
await api.close();
await house.close();
