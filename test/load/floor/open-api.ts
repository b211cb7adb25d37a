/**
 * The api as it is, but for rights: it asks nobody who they are, filters nothing and lets everything pass. The floor of what
 * authorisation costs; nothing but the bench can reach it. Settings as for the api.
 */
import { createLogger } from '#core';
import { simulatedDriverFactory } from '#driver-simulated';
import { Access, type Action } from '#identity';
import { startApi } from '../../../apps/api/src/api.js';
import { configurationFrom } from '../../../apps/composition/src/configuration.js';
import { openHouse } from '../../../apps/composition/src/house.js';
import { untilStopped } from '../../../apps/composition/src/process.js';

class Everything extends Access {
  constructor() {
    super({ id: 'pri_00000000000000000000000000', kind: 'USER', name: 'anybody', tenantId: null }, null, null, { requestId: 'bench', address: null }, []);
  }

  override filter(): [boolean, string[], string[]] {
    return [true, [], []];
  }

  override can(_action: Action): boolean {
    return true;
  }
}

const configuration = configurationFrom(process.env);
const log = createLogger('open-api', configuration.MUON_LOG_LEVEL);
const house = await openHouse({ configuration, log, applicationName: 'open api', drivers: [simulatedDriverFactory()] });
const anybody = new Everything();
Object.assign(house.authenticator, { authenticate: async () => anybody });
const api = await startApi(house, { host: '127.0.0.1', port: configuration.MUON_HTTP_PORT, trustedProxies: [], graphiql: false });
log.info({ url: api.url }, 'the open api is ready');
await untilStopped(log);
await api.close();
await house.close();
