import type { VisibleZones } from '#infrastructure';
import { findScopes } from '#scopes';
import { usableZonesOf } from './zone-grant.js';

/** Lets infrastructure, which knows no tenants, show callers the zones that their tenants may use. */
export const visibleZones: VisibleZones = async (reader, access) => {
  const [, tenantIds, projectIds] = access.filter('zone');
  const projects = projectIds.length === 0 ? [] : await reader.rows(findScopes, projectIds);
  const tenants = new Set([...tenantIds, ...projects.flatMap((project) => project.tenant_id ?? [])]);
  const zones = [...(await usableZonesOf(reader, [...tenants])).values()].flat();
  return [...new Set(zones.map((zone) => zone.id))];
};
