import { parseArgs } from 'node:util';
import { untilStopped } from '../../composition/src/process.js';
import { startStandalone } from './standalone.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '.muon' },
    port: { type: 'string', default: '8080' },
    demo: { type: 'boolean', default: false },
    once: { type: 'boolean', default: false },
    log: { type: 'string', default: 'warn' },
  },
});

const standalone = await startStandalone({ dataDirectory: values.data, port: Number(values.port), logLevel: 'warn' });
console.log(`Muon is ready.
  API       ${standalone.url}/graphql
  GraphiQL  ${standalone.url}/graphiql
  token     ${standalone.token}
  data      ${standalone.dataDirectory}
  database  ${standalone.databaseDirectory}`);

if (!values.once) await untilStopped();
await standalone.close();
