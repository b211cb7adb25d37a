import { parseArgs } from 'node:util';
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
  data      ${standalone.dataDirectory}`);

const end = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
});
if (!values.once) await end;
await standalone.close();
