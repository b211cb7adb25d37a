import { insertRows, statement, type RoomSchema } from '#database';
import type { DriverRegistry } from '#infrastructure';
import type { MachineOwners, VirtualMachineRow, VirtualMachineService, AffinityGroupService, FlavorService, ImageService, CreateVirtualMachineInput } from '#compute';
import type { NetworkService } from '#network';
import type { OperationKind } from '#operations';
import type { SecretService } from '#secrets';
import { datacenterDatabase, testDatacenter, type DatacenterOptions, type TestDatacenter } from './datacenter.js';
import { systemAccess, type RoomDatabase } from './room-database.js';
import { newTenant, type TestTenant } from './scopes.js';

export interface ComputeBenchOptions extends DatacenterOptions {
  projects?: number;
  /** Rooms besides network, storage and compute, and those below. */
  moreRooms?: readonly RoomSchema[];
  /** Who is asked before machines are moved. */
  owners?: MachineOwners;
  /** Kinds of rooms besides network, storage and compute. */
  moreKinds?: (drivers: DriverRegistry, secrets: SecretService) => readonly OperationKind<unknown>[];
}

export interface BenchProject {
  projectId: string;
  networkId: string;
}

/** Virtual machines on a simulated datacenter: a tenant with projects, two flavors (`small`, `large`) and an image (`debian`). */
export interface ComputeBench {
  readonly room: RoomDatabase;
  readonly center: TestDatacenter;
  readonly tenant: TestTenant;
  readonly machines: VirtualMachineService;
  readonly groups: AffinityGroupService;
  readonly flavors: FlavorService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  /** One that no spec has used, with a network. */
  freshProject(): Promise<BenchProject>;
  machine(id: unknown): Promise<VirtualMachineRow>;
  /** A machine that was made, and runs unless the request says otherwise. */
  running(project: BenchProject, name: string, request?: Partial<CreateVirtualMachineInput>): Promise<string>;
  /** What the project still holds besides its network: rows, claims, charges, secrets, locks. */
  left(projectId: string): Promise<string[]>;
  /** Ids of what the backend holds besides networks. */
  objects(): Promise<string[]>;
  close(): Promise<void>;
}

const leftovers = statement<{ what: string }, [projectId: string]>(
  'testing.compute_leftovers',
  `SELECT 'machine' AS what FROM virtual_machine WHERE project_id = $1 UNION ALL SELECT 'port' FROM port WHERE project_id = $1
   UNION ALL SELECT 'disk' FROM disk WHERE project_id = $1
   UNION ALL SELECT 'address' FROM address_allocation WHERE project_id = $1 AND owner_id <> subnet_id
   UNION ALL SELECT 'host claim' FROM host_claim WHERE project_id = $1
   UNION ALL SELECT 'datastore claim' FROM datastore_claim WHERE project_id = $1
   UNION ALL SELECT 'charge' FROM quota_charge WHERE project_id = $1 AND resource_kind <> 'net'
   UNION ALL SELECT 'secret' FROM secret WHERE project_id = $1
   UNION ALL SELECT 'lock' FROM resource_lock AS l JOIN operation AS o ON o.id = l.operation_id WHERE o.project_id = $1`,
);

/** How long undos look again for late effects. */
const SETTLE_MS = 150;

export async function computeBench(options: ComputeBenchOptions = {}): Promise<ComputeBench> {
  const compute = await import('#compute');
  const network = await import('#network');
  const storage = await import('#storage');

  const room = await datacenterDatabase([network.networkRoom, storage.storageRoom, compute.computeRoom, ...(options.moreRooms ?? [])]);
  const center = await testDatacenter(room, {
    hosts: 3,
    ...options,
    sections: (applier) => {
      network.registerNetworkSections(applier);
      compute.registerComputeSections(applier);
      options.sections?.(applier);
    },
    kinds: (drivers, secrets) => {
      const networks = new network.NetworkRealiser(drivers, { settleMs: SETTLE_MS });
      const disks = new storage.DiskRealiser(drivers, { settleMs: SETTLE_MS });
      const machines = new compute.MachineRealiser(drivers, secrets, { settleMs: SETTLE_MS });
      return [
        ...network.networkOperations(networks),
        ...compute.computeOperations({ networks, disks, machines }, options.owners),
        ...(options.moreKinds?.(drivers, secrets) ?? []),
      ];
    },
  });
  const { commands, ledger, drivers, secrets } = center;
  const access = systemAccess();
  const tenant = await newTenant(room.database, options.projects ?? 20);
  await room.database.transaction((transaction) => insertRows(transaction, 'tenant', [{ id: tenant.id, tenant_id: tenant.id }]));
  const networks = new network.NetworkService(commands, ledger);
  const machines = new compute.VirtualMachineService(commands, ledger, drivers, secrets);
  const flavors = new compute.FlavorService(commands);
  const images = new compute.ImageService(commands);
  await flavors.create(access, { name: 'small', cpu: 1, memoryMib: 512, diskGib: 10 });
  await flavors.create(access, { name: 'large', cpu: 4, memoryMib: 2048, diskGib: 10, costs: [{ key: 'gpu.count', amount: 1 }] });
  await images.create(access, { name: 'debian', reference: 'debian-12', operatingSystem: 'Debian 12', minimumDiskGib: 2 });

  let projects = 0;
  return {
    room,
    center,
    tenant,
    machines,
    groups: new compute.AffinityGroupService(commands),
    flavors,
    images,
    networks,
    async freshProject() {
      const projectId = tenant.projectIds[projects++];
      if (projectId === undefined) throw new Error(`the bench has only ${tenant.projectIds.length} projects; ask for more`);
      const { result } = await networks.create(access, { projectId, name: 'net', subnet: {} });
      return { projectId, networkId: result.id as string };
    },
    async machine(id) {
      const [row] = await room.database.rows(compute.findVirtualMachines, [String(id)]);
      if (row === undefined) throw new Error(`no machine ${String(id)}`);
      return row;
    },
    async running(project, name, request = {}) {
      const { result } = await machines.create(access, { ...project, name, flavor: 'small', image: 'debian', ...request });
      const ended = await center.ended(result.operationId);
      if (ended.state !== 'SUCCEEDED') throw new Error(`machine ${name} was not made: ${JSON.stringify(ended)}`);
      return result.id as string;
    },
    async left(projectId) {
      return (await room.database.rows(leftovers, projectId)).map((row) => row.what);
    },
    async objects() {
      return (await center.world.objects()).filter((each) => each.kind !== 'NETWORK').map((each) => each.id);
    },
    async close() {
      await center.close();
      await room.close();
    },
  };
}
