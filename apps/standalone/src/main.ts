import { untilStopped } from '../../composition/src/process.js';
import { standaloneArguments } from './arguments.js';
import { tellStory } from './demo/story.js';
import { startStandalone, type Standalone } from './standalone.js';

const given = standaloneArguments(process.argv.slice(2));

function requestsToTry(token: string, url: string): string {
  const curl = (query: string): string =>
    `curl -s ${url}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${token}' -d '${JSON.stringify({ query })}'`;
  return `Three requests to paste:

${curl('{ viewer { name bindings { role } } }')}

${curl('{ hosts(first: 5) { nodes { name state } totalCount } }')}

${curl('{ operations(first: 5) { nodes { kind state error { code message } } } }')}`;
}

const standalone: Standalone = await startStandalone({
  dataDirectory: given.data,
  port: given.port,
  issuerPort: given.issuerPort,
  logLevel: given.demo ? 'error' : 'warn',
});
const stopped = untilStopped();
let failure: Error | undefined;
if (given.demo) {
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
if (given.demo) console.log(`\n${requestsToTry(standalone.token, standalone.url)}`);
if (!given.once && failure === undefined) await stopped;
await standalone.close();
if (failure !== undefined) process.exitCode = 1;
