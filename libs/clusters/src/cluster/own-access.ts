import { Access } from '#identity';

/**
 * For plans that the system makes for itself, where a room below asks for somebody's rights: a cluster that is admitted
 * again was allowed to its owner when it was first asked for.
 */
export const OWN_ACCESS = new Access(
  { id: '', kind: 'SERVICE_ACCOUNT', name: 'muon', tenantId: null },
  null,
  null,
  { requestId: '', address: null },
  [{ role: 'OWNER', tenantId: null, projectId: null }],
);
