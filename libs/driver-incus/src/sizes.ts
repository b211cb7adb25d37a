/** Units of Incus's sizes (https://linuxcontainers.org/incus/docs/main/reference/instance_units/). */
const UNITS: Record<string, number> = {
  '': 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const SIZE = /^(\d+)([A-Za-z]*)$/;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Bytes; 0 for what is not a size, as where there is no limit. */
export function bytesOf(size: string | undefined): number {
  const [, digits, unit] = SIZE.exec(size ?? '') ?? [];
  return digits === undefined ? 0 : Number(digits) * (UNITS[unit ?? ''] ?? 0);
}

export const mibOf = (size: string | undefined): number => Math.floor(bytesOf(size) / MIB);
export const gibOf = (size: string | undefined): number => Math.floor(bytesOf(size) / GIB);
export const mib = (bytes: number): number => Math.floor(bytes / MIB);
export const gib = (bytes: number): number => Math.floor(bytes / GIB);
export const asMib = (size: number): string => `${size}MiB`;
export const asGib = (size: number): string => `${size}GiB`;
