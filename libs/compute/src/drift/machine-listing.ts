import { MuonError } from '#core';
import type { ComputeDriver, DriverCall, ObservedMachine } from '#drivers';

const PAGE = 500;
/** A backend that lists more than a million machines lists in circles. */
const MAX_PAGES = 2000;

/** Reads a backend's listing page by page, as far as it is needed, in the order of ids. */
export class MachineListing {
  private readonly ahead: ObservedMachine[] = [];
  private after: string | null = null;
  private pages = 0;
  private isComplete = false;

  constructor(
    private readonly compute: ComputeDriver,
    private readonly call: (page: number) => DriverCall,
  ) {}

  /** Everything up to this id that was not handed out yet, by id. */
  async upTo(id: string): Promise<Map<string, ObservedMachine>> {
    while (!this.isComplete && (this.ahead.at(-1)?.machineId ?? '') < id) await this.readPage();
    const end = this.ahead.findIndex((machine) => machine.machineId > id);
    const found = this.ahead.splice(0, end === -1 ? this.ahead.length : end);
    return new Map(found.map((machine) => [machine.machineId, machine]));
  }

  private async readPage(): Promise<void> {
    if (this.pages >= MAX_PAGES) throw new MuonError('LIMIT_EXCEEDED', `The backend lists more than ${MAX_PAGES * PAGE} machines.`);
    const page = await this.compute.listMachines(this.call(this.pages), this.after, PAGE);
    this.pages += 1;
    this.ahead.push(...page);
    this.after = page.at(-1)?.machineId ?? this.after;
    this.isComplete = page.length < PAGE;
  }
}
