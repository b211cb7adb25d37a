import { Command, InvalidArgumentError, Option } from 'commander';
import { Output, type OutputFormat } from '../../cli/src/output.js';
import { CONTROLLER, EXTERNAL, FLOATING, machineAddress, MAX_HOSTS, NORTHBOUND_PORT, SOUTHBOUND_PORT } from './layout.js';
import { StateFolder } from './state.js';

const NOTES = `
The hosts are network name spaces, each with an Incus member, Open vSwitch and an OVN controller; a machine c1 has OVN's
databases. It needs root on Debian 12, and installs what is missing from Debian's packages.

Exit codes:
  0  done; of status: every part is healthy
  1  refused or failed; of status: a part is not healthy, or there is no lab
  2  the command line is not right`;

interface GlobalOptions {
  state?: string;
  output: OutputFormat;
}

/** The command line. What a command does is loaded when it is called, so that help and errors come at once. */
export function labCommand(): Command {
  const lab = new Command('lab')
    .description('A datacenter on one Linux machine: hosts, networks and storage that are real, for tests and trials.')
    .addOption(new Option('--state <folder>', 'where the lab keeps its state; .muon/lab in this project if not given').env('MUON_LAB_STATE'))
    .addOption(new Option('-o, --output <format>', 'how results are written').choices(['table', 'json']).default('table'))
    .addHelpText('after', NOTES)
    .showHelpAfterError('(lab --help tells more)')
    .exitOverride();
  lab
    .command('up')
    .description('raise the lab, or what of it is missing')
    .option('--hosts <count>', 'how many hosts; 3 if not given, in 2 zones and 3 racks', hostCount)
    .action(async (_options: object, command: Command) => {
      const { up } = await import('./up.js');
      const { hosts } = command.opts<{ hosts?: number }>();
      await up({ ...given(command), hosts });
    });
  lab
    .command('down')
    .description('take the lab away; only downloads and built images stay, in the folder "cache" of its state')
    .option('--keep', 'leave disks and databases of the hosts for the next "up"', false)
    .action(async (_options: object, command: Command) => {
      const { down } = await import('./down.js');
      const { keep } = command.opts<{ keep: boolean }>();
      await down({ ...given(command), keep });
    });
  lab
    .command('status')
    .description('show each part of the lab and whether it is healthy')
    .action(async (_options: object, command: Command) => showStatus(command));
  lab
    .command('image')
    .description('add the image for nodes of clusters, Debian with cloud-init and Docker; building it takes minutes, once')
    .action(async (_options: object, command: Command) => {
      const { provideDebian } = await import('./images.js');
      await provideDebian(given(command));
    });
  lab
    .command('register')
    .description('tell a running Muon of the lab, as backend, zones, racks, hosts, flavors and images')
    .option('--url <url>', 'of the api', 'http://127.0.0.1:8080')
    .option('--token-file <file>', "a system owner's token; MUON_TOKEN goes before it", '.muon/owner-token')
    .action(async (_options: object, command: Command) => {
      const { register, ownerToken } = await import('./registration/register.js');
      const { url, tokenFile } = command.opts<{ url: string; tokenFile: string }>();
      await register({ ...given(command), url, token: process.env['MUON_TOKEN'] ?? (await ownerToken(tokenFile)) });
    });
  lab
    .command('demo')
    .description('raise the lab and a Muon on it, and tell the main job there: it ends with "docker node ls" on a cluster of five nodes')
    .action(async (_options: object, command: Command) => {
      const { demo } = await import('./demo/demo.js');
      await demo(given(command));
    });
  addHost(lab);
  return lab;
}

function addHost(lab: Command): void {
  const host = lab.command('host').description('let a host fail, and come back');
  const deed = (name: 'kill' | 'partition' | 'start', description: string): void => {
    host
      .command(name)
      .description(description)
      .argument('<host>', 'as h2')
      .action(async (machine: string, _options: object, command: Command) => {
        const { killHost, partitionHost, startHost } = await import('./hosts.js');
        await { kill: killHost, partition: partitionHost, start: startHost }[name]({ ...given(command), name: machine });
      });
  };
  deed('kill', 'cut its power: nothing of it runs any more');
  deed('partition', 'pull its cables: it goes on, alone');
  deed('start', 'plug it in, switch it on, and wait until the cluster has it back');
}

async function showStatus(command: Command): Promise<void> {
  const { statusOf } = await import('./status.js');
  const { output, folder } = given(command);
  const status = await statusOf(folder);
  if (!status?.healthy) process.exitCode = 1;
  if (status === undefined) {
    output.list([], [], { healthy: false, parts: [] });
    return;
  }
  const endpoints = {
    northbound: `tcp:${CONTROLLER.managementAddress}:${NORTHBOUND_PORT}`,
    southbound: `tcp:${CONTROLLER.managementAddress}:${SOUTHBOUND_PORT}`,
    externalGateway: machineAddress(EXTERNAL),
    floatingAddresses: FLOATING,
  };
  const rows = status.parts.map(({ machine, name, healthy, detail }) => [machine, name, healthy ? 'healthy' : 'FAILED', detail]);
  output.list(['machine', 'part', 'health', 'detail'], rows, { ...status, endpoints });
}

function given(command: Command) {
  const { state, output: format } = command.optsWithGlobals<GlobalOptions>();
  const output = new Output(format);
  return { output, folder: new StateFolder(state), note: (text: string) => output.note(text) };
}

function hostCount(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_HOSTS) throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_HOSTS}.`);
  return count;
}
