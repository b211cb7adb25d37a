import type { CallOptions, Session, Tagged } from '../connection/session.js';
import type { Config, Devices } from '../instance/instance.js';

/** Configuration and devices that instances share. */
export interface Profile {
  name: string;
  description: string;
  config: Config;
  devices: Devices;
  used_by: string[] | null;
}

export type NewProfile = Pick<Profile, 'name'> & Partial<Pick<Profile, 'description' | 'config' | 'devices'>>;

/** Profiles (`/1.0/profiles`). */
export class Profiles {
  constructor(private readonly session: Session) {}

  async list(options: CallOptions = {}): Promise<Profile[]> {
    return this.session.get<Profile[]>(['profiles'], { ...options, query: { recursion: 1 } });
  }

  async get(name: string, options: CallOptions = {}): Promise<Tagged<Profile>> {
    return this.session.getTagged<Profile>(['profiles', name], options);
  }

  /** @throws CONFLICT when there is one of that name */
  async create(profile: NewProfile, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'POST', path: ['profiles'], json: profile });
  }

  /** @throws NOT_FOUND; REFUSED while an instance uses it */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.session.change({ ...options, method: 'DELETE', path: ['profiles', name] });
  }
}
