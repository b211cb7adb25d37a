import { parseArgs } from 'node:util';
import { untilStopped } from '../../composition/src/process.js';
import { tellStory } from './demo/story.js';
import { startStandalone, type Standalone } from './standalone.js';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '.muon' },
    port: { type: 'string', default: '8080' },
    /** Of the issuer that signs people in; two above the API's, if not given. */
    'issuer-port': { type: 'string' },
    /** Tells the story of the main job first. */
    demo: { type: 'boolean', default: false },
    /** Ends afterwards instead of serving on. */
    once: { type: 'boolean', default: false },
  },
});

function requestsToTry(token: string, url: string): string {
  const curl = (query: string): string =>
    `curl -s ${url}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${token}' -d '${JSON.stringify({ query })}'`;
  return `Three requests to paste:

${curl('{ viewer { name bindings { role } } }')}

${curl('{ hosts(first: 5) { nodes { name state } totalCount } }')}

${curl('{ operations(first: 5) { nodes { kind state error { code message } } } }')}`;
}

const issuerPort = Number(values['issuer-port'] ?? (values.port === '0' ? 0 : Number(values.port) + 2));
const standalone: Standalone = await startStandalone({
  dataDirectory: values.data,
  port: Number(values.port),
  issuerPort,
  logLevel: values.demo ? 'error' : 'warn',
});
const stopped = untilStopped();
let failure: Error | undefined;
if (values.demo) {
  await Promise.race([stopped, tellStory(standalone)]).catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error('the story failed without an error', { cause: error });
  });
}
if (failure !== undefined) console.error(`\nThe story broke off: ${failure.stack ?? failure.message}`);
console.log(`
Muon is ready.
  API       ${standalone.url}/graphql
  GraphiQL  ${standalone.url}/graphiql
  token     ${standalone.token}
  sign in   muon login --url ${standalone.url} (as anybody of ${standalone.issuerUrl})
  data      ${standalone.dataDirectory}
  database  ${standalone.databaseDirectory}`);
if (values.demo) console.log(`\n${requestsToTry(standalone.token, standalone.url)}`);
if (!values.once && failure === undefined) await stopped;
await standalone.close();
if (failure !== undefined) process.exitCode = 1;
