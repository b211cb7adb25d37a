import { Command, Option } from 'commander';
import { contextOf, type Context } from './context.js';
import type { CreateOptions, OfCluster, Starting } from './commands/cluster.js';
import type { LoginOptions } from './commands/login.js';
import type { OnboardOptions } from './commands/tenant.js';

const EXIT_CODES = `
Exit codes:
  0  done
  1  refused, or the plan shows that it would be
  2  the command line, the settings or the login are not right
  3  no answer from Muon
  4  accepted, but the operation ended FAILED, CANCELLED or STUCK
  5  not ended within --timeout; what was started goes on

Environment:
  MUON_URL                 where Muon is, instead of what "muon login" keeps
  MUON_TOKEN               who is asking; MUON_TOKEN_FILE names a file instead`;

/** The command line. What a command does is loaded when it is called, so that help and errors come at once. */
export function muonCommand(): Command {
  const muon = new Command('muon')
    .description('Clusters, tenants and operations of Muon, over its public API.')
    .option('--url <address>', 'where Muon is, as https://muon.example')
    .addOption(new Option('-o, --output <format>', 'how results are written').choices(['table', 'json']).default('table'))
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(muon --help tells more)')
    .exitOverride();
  addLogin(muon);
  addLogout(muon);
  addToken(muon);
  addTenant(muon);
  addClusters(muon);
  addOperation(muon);
  return muon;
}

/** Calls the command with its context; commander gives arguments, then options, then the command itself. */
function calls<Arguments extends unknown[]>(action: (context: Context, ...given: Arguments) => Promise<void>) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.pop() as Command;
    await action(contextOf(command), ...(given as Arguments));
  };
}

function addLogin(muon: Command): void {
  muon
    .command('login')
    .description('sign in for the commands to come: by an issuer that Muon trusts, in a browser, or by a token from standard input')
    .option('--device', 'sign in by a browser, here or on another device; on a terminal without a token that is done anyway')
    .option('--issuer <issuer>', 'by which issuer, by name or URL, where Muon offers several')
    .option('--client-id <id>', 'with the URL of an issuer that Muon does not offer to everybody, as that of a tenant')
    .option('--token-file <path>', 'read the token from a file')
    .option('--token <token>', 'the token itself, which others may see in the list of processes; - reads standard input')
    .action(
      calls(async (context, options: LoginOptions) => {
        const { login } = await import('./commands/login.js');
        await login(context, options);
      }),
    );
}

function addLogout(muon: Command): void {
  muon
    .command('logout')
    .description('forget what "muon login" has kept, and end a sign-in by an issuer')
    .action(
      calls(async (context) => {
        const { logout } = await import('./commands/logout.js');
        await logout(context);
      }),
    );
}

function addToken(muon: Command): void {
  muon
    .command('token')
    .description('tokens')
    .command('generate')
    .description('print a token for the first owner of a new Muon (MUON_BOOTSTRAP_TOKEN_FILE); asks no API')
    .action(
      calls(async (context) => {
        const { generateToken } = await import('./commands/token.js');
        await generateToken(context);
      }),
    );
}

function addTenant(muon: Command): void {
  muon
    .command('tenant')
    .description('tenants, for operators')
    .command('onboard')
    .description('make a tenant with quota, zones, first project and owners, all or nothing')
    .requiredOption('--name <name>', 'unique among tenants: 1 to 63 lower-case letters, digits and hyphens')
    .requiredOption('--owner <name...>', 'user to make, or id of a principal; the first may get a token')
    .option('--display-name <text>', 'for people')
    .option('--quota <key=limit...>', 'limits, as vm.cpu=64; what is not named is unlimited')
    .option('--zone <name...>', 'zones that it may use; all, if not given')
    .option('--project <name>', 'its first project')
    .option('--owner-token', 'make a token for the first owner and print it, this once')
    .option('--plan', 'show what would be done, and do nothing')
    .action(
      calls(async (context, options: OnboardOptions) => {
        const { onboardTenant } = await import('./commands/tenant.js');
        await onboardTenant(context, options);
      }),
    );
}

const starts = (command: Command): Command =>
  command
    .option('--plan', 'show what would be done, and do nothing')
    .option('--wait', 'follow the operation until it has ended')
    .option('--timeout <time>', 'with --wait: at most so long, as 90s, 15m or 2h', '30m');

function addClusters(muon: Command): void {
  const cluster = muon.command('cluster').description('clusters of a project; named by id, or by name where that is unique');
  const named = (name: string, description: string): Command =>
    cluster
      .command(name)
      .description(description)
      .argument('<cluster>', 'its id or name')
      .option('--project <project>', 'id or name of its project, where its name alone is not unique');
  addClusterCreate(cluster);
  cluster
    .command('list')
    .description('the clusters that you may see')
    .option('--project <project>', 'only those of this project, by id or name')
    .action(calls(async (context, options: OfCluster) => (await clusterCommands()).listClusters(context, options)));
  named('get', 'a cluster with its pools, nodes, conditions and blockers').action(
    calls(async (context, name: string, options: OfCluster) => (await clusterCommands()).getCluster(context, name, options)),
  );
  starts(named('scale', 'give a node pool more or fewer nodes'))
    .requiredOption('--pool <pool>', 'id or name of the node pool')
    .requiredOption('--nodes <count>', 'how many nodes it shall have, 0 to 200')
    .action(
      calls(async (context, name: string, options: OfCluster & Starting & { pool: string; nodes: string }) =>
        (await clusterCommands()).scaleCluster(context, name, options),
      ),
    );
  named('kubeconfig', 'mint credentials for kubectl in your name and print them; they hold a private key')
    .option('--valid <time>', 'how long they hold, as 30m or 8h, at most 24h', '8h')
    .option('--file <path>', 'write them there, readable by you alone, instead of printing them')
    .action(
      calls(async (context, name: string, options: OfCluster & { valid: string; file?: string }) =>
        (await clusterCommands()).printKubeconfig(context, name, options),
      ),
    );
  named('docker-bundle', 'mint credentials of a Swarm cluster for docker in your name, and write them into a folder')
    .option('--valid <time>', 'how long they hold, as 30m or 8h, at most 24h', '8h')
    .requiredOption('--directory <path>', 'for ca.pem, cert.pem, key.pem and env.sh, readable by you alone; made if it is missing')
    .action(
      calls(async (context, name: string, options: OfCluster & { valid: string; directory: string }) =>
        (await clusterCommands()).writeDockerBundle(context, name, options),
      ),
    );
  starts(named('delete', 'delete a cluster with all that was made for it')).action(
    calls(async (context, name: string, options: OfCluster & Starting) => (await clusterCommands()).deleteCluster(context, name, options)),
  );
}

const clusterCommands = () => import('./commands/cluster.js');

function addClusterCreate(cluster: Command): void {
  starts(cluster.command('create'))
    .description('make a cluster')
    .argument('<name>', 'unique in its project: 1 to 63 lower-case letters, digits and hyphens')
    .requiredOption('--project <project>', 'id or name of its project')
    .requiredOption('--release <version>', 'what it runs, as 1.34.2, or a version of the catalogue')
    .requiredOption('--flavor <flavor>', 'size of its control nodes')
    .addOption(new Option('--kind <kind>', 'what kind of cluster; mesos is not in this release').choices(['kubernetes', 'swarm', 'mesos']).default('kubernetes'))
    .option('--control-nodes <count>', '1, 3 or 5; with 3 or more, no two are on one host, and spread over racks and zones', '3')
    .option('--pool <name=flavor:count...>', 'a node pool, as workers=medium:3')
    .option('--zone <zone...>', 'zones that its nodes may be in; all that the tenant may use, if not given')
    .option('--network <network>', 'a network of the project; one is made for it, if not given')
    .option('--ttl <time>', 'delete it by itself after this time, as 8h or 7d')
    .action(
      calls(async (context, name: string, options: CreateOptions) => (await clusterCommands()).createCluster(context, name, options)),
    );
}

function addOperation(muon: Command): void {
  muon
    .command('operation')
    .description('what Muon is doing')
    .command('watch')
    .description('follow an operation until it has ended')
    .argument('<id>', 'its id, as op_01…')
    .option('--timeout <time>', 'at most so long, as 90s, 15m or 2h', '30m')
    .action(
      calls(async (context, id: string, options: { timeout: string }) => {
        const { watchOperation } = await import('./commands/operation.js');
        await watchOperation(context, id, options);
      }),
    );
}
