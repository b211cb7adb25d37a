import type { DriverCall, FenceResult, HostDriver, HostLoad, ObservedHost } from '#drivers';
import type { SimulatedBackend } from './backend.js';

export class SimulatedHosts implements HostDriver {
  constructor(private readonly backend: SimulatedBackend) {}

  async listHosts(call: DriverCall): Promise<ObservedHost[]> {
    return this.backend.look(call, { method: 'listHosts', effect: 'READ', needs: [] });
  }

  async readLoad(call: DriverCall): Promise<HostLoad[]> {
    return this.backend.look(call, { method: 'readLoad', effect: 'READ', needs: [] });
  }

  async fence(call: DriverCall, hostName: string): Promise<FenceResult> {
    // It takes effect at once, so it goes the way of a look.
    return this.backend.look(call, { method: 'fence', effect: 'READ', needs: ['fence'], ids: [hostName] });
  }
}
