import { z } from 'zod';

const capability = z.boolean().default(true);

/** As options of a backend take them: what is not said of is there. */
export const capabilitiesSchema = z.strictObject({
  compute: capability,
  network: capability,
  storage: capability,
  suspend: capability,
  /** A machine's size changes without a new machine. */
  resize: capability,
  moveStopped: capability,
  snapshot: capability,
  /** Each disk is held to a limit of its own; without it none has one. */
  iopsLimit: capability,
  guestRun: capability,
  fence: capability,
  loadBalancer: capability,
  /** Its machines can be nodes of Kubernetes. */
  kubernetesNodes: capability,
  /** Routers of tenants, external networks and floating addresses. */
  router: capability,
  /** Security groups, and rules of operators above them. */
  firewall: capability,
});

/** What a backend can do; the API refuses up front what it cannot, and a driver answers UNSUPPORTED to it. */
export type Capabilities = z.output<typeof capabilitiesSchema>;

export const CAPABILITIES = Object.keys(capabilitiesSchema.shape) as (keyof Capabilities)[];
