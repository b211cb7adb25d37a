import { z } from 'zod';
import { invalidInput, MuonError, parseInput, type Logger } from '#core';
import { incusDriverFactory, type OpenedNetwork } from '#driver-incus';
import { openOvnNetwork, type OvnNetworkOptions } from '#driver-ovn';
import { simulatedDriverFactory } from '#driver-simulated';
import type { BackendConnection, DriverFactory } from '#drivers';
import type { Configuration } from './configuration.js';
import { fenceByCommand } from './fence.js';

/** With `ssl:` endpoints: what this Muon shows to OVN's databases. */
const networkSecretSchema = z.strictObject({ privateKey: z.string().min(1) }).optional();

/** Its parts are the driver's to read. */
const tlsSchema = z.record(z.string(), z.unknown()).default({});

/** The backends that a deployment can drive; this is the only place that names them. */
export function driversOf(configuration: Pick<Configuration, 'MUON_FENCE_COMMAND'>, log: Logger): DriverFactory[] {
  const command = configuration.MUON_FENCE_COMMAND;
  const openNetwork = async (connection: BackendConnection, options: Record<string, unknown>, secret: unknown): Promise<OpenedNetwork> =>
    openNetworkOf(connection, options, secret, log);
  return [
    simulatedDriverFactory(),
    incusDriverFactory({ openNetwork, ...(command === undefined ? {} : { fence: fenceByCommand(command, log) }) }),
  ];
}

async function openNetworkOf(
  { backendId, installationId }: BackendConnection,
  options: Record<string, unknown>,
  secret: unknown,
  log: Logger,
): Promise<OpenedNetwork> {
  const tls = parseInput(tlsSchema, options['tls'], 'options.network.tls');
  if ('privateKey' in tls) throw invalidInput('options.network.tls.privateKey', 'Private keys belong into the secret, as "network": {"privateKey": …}.');
  const { privateKey } = parseInput(networkSecretSchema, secret, 'secret.network') ?? {};
  const all = { ...options, backendId, installationId, ...(privateKey === undefined ? {} : { tls: { ...tls, privateKey } }) };
  try {
    // Its own reader says what is wrong with them.
    return await openOvnNetwork(all as unknown as OvnNetworkOptions, log);
  } catch (error) {
    if (!(error instanceof MuonError) || error.field === undefined) throw error;
    throw MuonError.fromRecord({ ...error.toRecord(), field: error.field.replace(/^options/, 'options.network') });
  }
}
