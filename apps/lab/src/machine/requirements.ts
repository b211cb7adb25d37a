import { readFile } from 'node:fs/promises';
import { Failure } from '../failure.js';

/** @returns a remark for people, or undefined */
export function refusalOf(uid: number, osRelease: string): { refusal?: string; remark?: string } {
  if (uid !== 0) return { refusal: 'The lab needs root: it makes name spaces, bridges and mounts.' };
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  const [id, version] = [field('ID'), field('VERSION_ID')];
  if (id === 'debian' && version === '12') return {};
  if (id === 'debian' && version === '13') return { remark: 'Debian 13: nobody has tried the lab there yet.' };
  return { refusal: `The lab needs Debian 12; this is ${field('PRETTY_NAME') || 'something else'}.` };
}

/** @throws Failure on a machine that cannot carry a lab */
export async function requireMachine(note: (text: string) => void): Promise<void> {
  const { refusal, remark } = refusalOf(process.getuid?.() ?? -1, await readFile('/etc/os-release', 'utf8').catch(() => ''));
  if (refusal !== undefined) throw new Failure(refusal);
  if (remark !== undefined) note(remark);
}
