import { createHash } from 'node:crypto';
import type { MarkedTable } from './schema/northbound.js';

/**
 * The UUID of the row of a table that belongs to a resource: always the same, so that it is found without a search and
 * cannot be inserted twice. A UUID of version 8 (RFC 9562 §5.8) from a hash.
 */
export function rowUuid(table: MarkedTable, id: string): string {
  const bytes = hash(`muon/${table}/${id}`).subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The gateway's address on its subnet's link: locally administered, and the same after every repair. */
export const gatewayMac = (subnetId: string): string => macOf(`gateway/${subnetId}`);

/** A locally administered hardware address from a seed. */
export function macOf(seed: string): string {
  return ['0e', ...[...hash(`muon/${seed}`).subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/**
 * The name of the port group of a security group, in which rules name its ports (`@name`) and their addresses
 * (`$name_ip4`): letters, digits and underscores, as in ovn-sb(5).
 */
export const groupName = (securityGroupId: string): string => `muon_${securityGroupId.replaceAll('-', '.')}`;

/** What stands for the ports that one row of port groups covers: no two installations share one. */
export const scopeSeed = (installationId: string, scope: string): string => `${installationId}/firewall/${scope}`;
export const scopeName = (uuid: string): string => `muon_${uuid.replaceAll('-', '')}`;

/** Both ends of the link between a subnet's switch and its network's router. */
export const routerPortName = (subnetId: string): string => `${subnetId}-router`;
export const switchPortName = (subnetId: string): string => `${subnetId}-switch`;

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
