import type { DemoApi } from '../../../standalone/src/demo/api.js';
import { Failure } from '../failure.js';
import { until } from '../machine/until.js';
import { cidrOf, EXTERNAL, EXTERNAL_NETWORK, FLOATING, machineAddress, PHYSICAL_NETWORK } from '../layout.js';

const MAKING_MS = 60_000;
const CREATION = 'network.external_network.create';
const ENDED: readonly string[] = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK'];

const CREATE = 'mutation ($input: CreateExternalNetworkInput!) { createExternalNetwork(input: $input) { operation { id } } }';
const RETRY = 'mutation ($id: ID!) { retryOperation(input: { id: $id }) { operation { id } } }';
const FIND = 'query ($name: String!) { externalNetworks(name: $name) { nodes { id state } } }';
const FIND_CREATION = 'query ($resourceId: ID!, $kind: String!) { operations(resourceId: $resourceId, kind: $kind) { nodes { id state } } }';
const LOOK = 'query ($id: ID!) { operation(id: $id) { state error { message } blocker { message } } }';

interface Found {
  externalNetworks: { nodes: { id: string; state: string }[] };
}
interface Creations {
  operations: { nodes: { id: string; state: string }[] };
}
interface Seen {
  operation: { state: string; error: { message: string } | null; blocker: { message: string } | null };
}

/**
 * The lab's way outside. One whose making has failed is made again, and one that is being made is waited for.
 * @throws Failure with Muon's reason as soon as it cannot be made
 */
export async function registerExternalNetwork(api: DemoApi, backendId: string): Promise<void> {
  const operationId = await making(api, backendId);
  if (operationId === undefined) return;
  let blocker: string | undefined;
  const ended = await until('The external network', MAKING_MS, async () => {
    const { operation } = await api.request<Seen>(LOOK, { id: operationId });
    blocker = operation.blocker?.message;
    return ENDED.includes(operation.state) ? operation : undefined;
  }).catch((error: unknown) => {
    throw error instanceof Failure && blocker !== undefined ? new Failure(`${error.message}: ${blocker}`) : error;
  });
  if (ended.state === 'SUCCEEDED') return;
  const reason = ended.error?.message ?? ended.blocker?.message ?? 'Muon tells no reason.';
  throw new Failure(`The external network "${EXTERNAL_NETWORK}" could not be made (${ended.state}). ${reason}`);
}

/** @returns the operation that makes it; undefined when it is there */
async function making(api: DemoApi, backendId: string): Promise<string | undefined> {
  const [known] = (await api.request<Found>(FIND, { name: EXTERNAL_NETWORK })).externalNetworks.nodes;
  if (known === undefined) {
    const pools = [FLOATING];
    const input = { name: EXTERNAL_NETWORK, backendId, physicalNetwork: PHYSICAL_NETWORK, cidr: cidrOf(EXTERNAL), gateway: machineAddress(EXTERNAL), pools };
    return (await api.request<{ createExternalNetwork: { operation: { id: string } } }>(CREATE, { input })).createExternalNetwork.operation.id;
  }
  if (known.state === 'ACTIVE') return undefined;
  const { nodes } = (await api.request<Creations>(FIND_CREATION, { resourceId: known.id, kind: CREATION })).operations;
  const [operation] = nodes;
  if (operation === undefined || known.state === 'DELETING') throw new Failure(`The external network "${EXTERNAL_NETWORK}" is ${known.state}: try again when it is not.`);
  if (known.state === 'FAILED') await api.request(RETRY, { id: operation.id });
  return operation.id;
}
