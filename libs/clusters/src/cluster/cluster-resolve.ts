import { invalidInput, MuonError, notFound } from '#core';
import { findFlavors, findImages, type FlavorRow, type ImageRow } from '#compute';
import type { ChangeSet, Reader } from '#database';
import { findScopes, requireActive, SCOPES } from '#scopes';
import { usableZones } from '#tenancy';
import { blueprintOf } from '../blueprint/blueprints.js';
import type { NodePoolRow } from '../node-pool/node-pool.js';
import { findNodePoolsOfClusters } from '../node-pool/node-pool.sql.js';
import { findClusterVersions } from '../version/cluster-version.sql.js';
import type { ClusterShape } from './cluster-plan.js';
import type { ClusterRow } from './cluster.js';

/** Scope locks of whatever is made or changed in a project. */
export function lockScopes(changes: ChangeSet, place: { tenantId: string; projectId: string }, need: 'ACTIVE' | 'EXISTING'): void {
  changes.add(SCOPES, { scopeId: place.tenantId, need }, { scopeId: place.projectId, need });
}

/** @throws INVALID_STATE when the tenant or project of something that exists is suspended or going */
export async function requireActiveScopes(reader: Reader, place: { tenantId: string; projectId: string }): Promise<void> {
  for (const scope of await reader.rows(findScopes, [place.tenantId, place.projectId])) requireActive(scope);
}

/** Names zones by id or name, among those that the tenant may use; none names all of them. */
export type ZoneChooser = (references: readonly string[], field: string) => string[];

/** One query for any number of choices. The chooser throws NOT_FOUND with the field. */
export async function zoneChooser(reader: Reader, tenantId: string): Promise<ZoneChooser> {
  const usable = await usableZones(reader, tenantId);
  return (references, field) => {
    if (references.length === 0) return usable.map((zone) => zone.id);
    const chosen = references.map((reference, index) => {
      const zone = usable.find((candidate) => candidate.id === reference || candidate.name === reference);
      if (zone === undefined) throw notFound('zone', reference, `${field}.${index}`);
      return zone.id;
    });
    return [...new Set(chosen)];
  };
}

/** @throws INVALID_INPUT with the field when the image does not fit on the flavor's disk */
export function requireRoomForImage(flavor: FlavorRow, image: ImageRow, field: string): void {
  if (flavor.disk_gib >= image.minimum_disk_gib) return;
  throw invalidInput(field, `Nodes of this version need a disk of ${image.minimum_disk_gib} GiB; this flavor has ${flavor.disk_gib}.`, {
    needed: image.minimum_disk_gib,
    has: flavor.disk_gib,
  });
}

/** What a version's nodes are made from. @throws INVALID_STATE (the operator's) when the image is gone */
export async function imageOfVersion(reader: Reader, imageId: string): Promise<ImageRow> {
  const [image] = await reader.rows(findImages, [imageId]);
  if (image !== undefined) return image;
  throw new MuonError('INVALID_STATE', 'The image of this version is gone.', { fault: 'OPERATOR', data: { imageId } });
}

/** A version and its image, as clusters have them already: also one that takes no new clusters. */
export async function releaseOf(reader: Reader, versionId: string): Promise<{ release: string; image: ImageRow }> {
  const [version] = await reader.rows(findClusterVersions, [versionId]);
  if (version === undefined) throw notFound('cluster version', versionId);
  return { release: version.release, image: await imageOfVersion(reader, version.image_id) };
}

/** @throws INVALID_STATE naming the first that is gone */
export async function flavorsById(reader: Reader, ids: readonly string[]): Promise<Map<string, FlavorRow>> {
  const found = new Map((await reader.rows(findFlavors, [...new Set(ids)])).map((row) => [row.id, row]));
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return found;
  throw new MuonError('INVALID_STATE', 'The flavor of these nodes has been withdrawn.', { data: { flavorId: missing } });
}

/** A stored cluster as it shall be: for admitting it once more. */
export async function shapeOfStored(reader: Reader, row: ClusterRow): Promise<{ shape: ClusterShape; pools: NodePoolRow[] }> {
  const pools = await reader.rows(findNodePoolsOfClusters, [row.id]);
  const flavors = await flavorsById(reader, [row.control_flavor_id, ...pools.map((pool) => pool.flavor_id)]);
  const { release, image } = await releaseOf(reader, row.version_id);
  const zonesOf = await zoneChooser(reader, row.tenant_id);
  const flavor = (id: string): FlavorRow => flavors.get(id) as FlavorRow;
  const shape: ClusterShape = {
    clusterId: row.id,
    name: row.name,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    blueprint: blueprintOf(row.kind),
    release,
    image,
    networkId: row.owns_network ? null : row.network_id,
    externalNetworkId: row.external_network_id,
    control: { flavor: flavor(row.control_flavor_id), count: row.control_count, zoneIds: zonesOf(row.control_zone_ids, 'controlPlane.zones'), field: 'controlPlane' },
    pools: pools.map((pool) => ({
      id: pool.id,
      name: pool.name,
      flavor: flavor(pool.flavor_id),
      count: pool.count,
      zoneIds: zonesOf(pool.zone_ids, `nodePools.${pool.name}.zones`),
      field: `nodePools.${pool.name}`,
    })),
  };
  return { shape, pools };
}
