import { Command, InvalidArgumentError } from 'commander';

export interface StandaloneArguments {
  data: string;
  port: number;
  issuerPort: number;
  demo: boolean;
  once: boolean;
}

const MAX_PORT = 65_535;

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= MAX_PORT) return port;
  throw new InvalidArgumentError(`A port is a number from 0, which stands for any that is free, to ${MAX_PORT}.`);
}

/**
 * What `npm start` and `npm run demo` were asked for. Ends the process with a message where it makes no sense, and after
 * telling of all options.
 * @param words as they stood after the command
 */
export function standaloneArguments(words: readonly string[]): StandaloneArguments {
  const command = new Command('npm start --')
    .description('Muon in one process, with a database of its own and simulated hosts')
    .option('--data <folder>', 'where everything is kept', '.muon')
    .option('--port <number>', 'of the API', portOf, 8080)
    .option('--issuer-port <number>', 'of the issuer that signs people in; two above the API’s, if not given', portOf)
    .option('--demo', 'tell the story of the main job first', false)
    .option('--once', 'end afterwards instead of serving on', false)
    .parse(words, { from: 'user' });
  const options = command.opts<Omit<StandaloneArguments, 'issuerPort'> & { issuerPort?: number }>();
  return { ...options, issuerPort: options.issuerPort ?? (options.port === 0 ? 0 : options.port + 2) };
}
