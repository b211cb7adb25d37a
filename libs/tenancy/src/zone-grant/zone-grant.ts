import { defineId, notFound } from '#core';
import { statement, type Reader } from '#database';
import { findZones, findZonesByReference, type ZoneRow } from '#infrastructure';
import type { ZoneDirectory } from '#quota';

export const zoneGrantId = defineId('zgr');

export const MAX_ZONES = 50;

/** Zones that take newcomers and that the tenant may use, by name. */
const findUsableZones = statement<ZoneRow & { user_id: string }, [tenantIds: string[]]>(
  'zone_grant.usable',
  `SELECT z.*, t.id AS user_id FROM tenant AS t CROSS JOIN zone AS z
   WHERE t.id = ANY($1) AND z.state = 'ACTIVE'
     AND (t.all_zones OR EXISTS (SELECT FROM zone_grant AS g WHERE g.tenant_id = t.id AND g.zone_id = z.id))
   ORDER BY t.id, z.name LIMIT 10000`,
);

export const findZoneGrants = statement<{ id: string; zone_id: string; version: number }, [tenantId: string]>(
  'zone_grant.of_tenant',
  'SELECT id, zone_id, version FROM zone_grant WHERE tenant_id = $1 ORDER BY zone_id',
);

export async function usableZones(reader: Reader, tenantId: string): Promise<ZoneRow[]> {
  return reader.rows(findUsableZones, [tenantId]);
}

/** Of many tenants at once. */
export async function usableZonesOf(reader: Reader, tenantIds: readonly string[]): Promise<Map<string, ZoneRow[]>> {
  return Map.groupBy(await reader.rows(findUsableZones, [...tenantIds]), (row) => row.user_id);
}

/**
 * The zones that a request names by name or id, in the order in which it names them, or all that the tenant may use.
 * @param references null for all
 * @throws NOT_FOUND for a zone that is not there, going, or not the tenant's to use
 */
export async function chooseZones(
  reader: Reader,
  tenantId: string,
  references: readonly string[] | null,
  field: string,
): Promise<ZoneRow[]> {
  const usable = await usableZones(reader, tenantId);
  return references === null ? usable : pick(usable, references, field);
}

/** Of all zones; for whoever grants them. @throws NOT_FOUND naming the first that is not there or going */
export async function resolveZones(reader: Reader, references: readonly string[], field: string): Promise<ZoneRow[]> {
  const found = await reader.rows(findZonesByReference, [...references]);
  return pick(
    found.filter((zone) => zone.state === 'ACTIVE'),
    references,
    field,
  );
}

function pick(zones: readonly ZoneRow[], references: readonly string[], field: string): ZoneRow[] {
  const chosen = references.map((reference, index) => {
    const zone = zones.find((candidate) => candidate.id === reference || candidate.name === reference);
    if (zone === undefined) throw notFound('zone', reference, `${field}.${index}`);
    return zone;
  });
  return [...new Set(chosen)];
}

/** Lets quota, which is below zones, refuse limits for zones that are not there. */
export const zoneDirectory: ZoneDirectory = {
  async unknownZones(reader, zoneIds) {
    const known = new Set((await reader.rows(findZones, zoneIds)).map((zone) => zone.id));
    return zoneIds.filter((id) => !known.has(id));
  },
};
