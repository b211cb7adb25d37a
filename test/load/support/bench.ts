import type { EmbeddedPostgres } from '#database/embedded';
import { cpuOf, cpuOfFamily } from './cpu.js';
import { Datacenter, type BenchProject } from './datacenter.js';
import { Installation } from './installation.js';
import type { Pgbench } from './pgbench.js';
import type { Report } from './report.js';

const CREATORS = 8;

/** CPU in ms since the last reading, by who used it. */
export interface CpuUse {
  api: number;
  worker: number;
  database: number;
}

/** What the measures share: an installation with a datacenter and a copy of its database for the floors. */
export class Bench {
  /** What pgbench did per second with the writes of a create, once that is known. */
  createsFloor: number | undefined;

  private constructor(
    readonly server: EmbeddedPostgres,
    readonly muon: Installation,
    /** Of one tenant. */
    readonly projects: readonly BenchProject[],
    /** Of the same tenant, for a list. */
    readonly listProject: BenchProject,
    readonly simulationUrl: string,
    readonly floorUrl: string,
    readonly pgbench: Pgbench | undefined,
    readonly report: Report,
    /** Multiplies what is a matter of patience: 1 for the real figures, less for a quick look. */
    readonly scale: number,
  ) {}

  static async open(server: EmbeddedPostgres, parts: { pgbench: Pgbench | undefined; report: Report; scale: number }): Promise<Bench> {
    const muon = await Installation.create(server, 'muon');
    await server.createDatabase('simulation');
    const simulationUrl = server.url('simulation');
    const house = await muon.openHouse();
    const datacenter = await Datacenter.make(house, simulationUrl);
    const [listProject, ...projects] = await datacenter.addTenant({ projects: CREATORS + 1 });
    if (listProject === undefined) throw new Error('no project was made');
    // A project's first machine makes its counters: floor and real requests find them there.
    for (const project of projects) await datacenter.addMachine(project, 'first');
    await house.close();
    // Nobody may be connected to what is copied.
    await server.createDatabase('floor', 'muon');
    return new Bench(server, muon, projects, listProject, simulationUrl, server.url('floor'), parts.pgbench, parts.report, parts.scale);
  }

  /** At least one, as many as the scale leaves of it. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count * this.scale));
  }

  /** How much CPU the work takes, of the processes that run all through it. */
  async cpuDuring(work: () => Promise<unknown>, of: Installation = this.muon): Promise<CpuUse> {
    const before = await this.cpu(of);
    await work();
    const after = await this.cpu(of);
    return { api: after.api - before.api, worker: after.worker - before.worker, database: after.database - before.database };
  }

  private async cpu(of: Installation): Promise<CpuUse> {
    const sum = async (processes: Installation['apis']): Promise<number> => {
      const times = await Promise.all(processes.map((each) => cpuOf(each.child.pid ?? 0)));
      return times.reduce((total, time) => total + time, 0);
    };
    return { api: await sum(of.apis), worker: await sum(of.workers), database: await cpuOfFamily(this.server.pid) };
  }
}
