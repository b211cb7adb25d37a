import type { Reader } from '#database';
import type { SealedSecret, SecretRef, SecretService } from '#secrets';

const PURPOSE = 'machine.user-data';

/** Whose user data it is. */
export interface UserDataOwner {
  id: string;
  tenantId: string;
  projectId: string;
}

/** People put passwords and tokens into user data: nothing but its backend is told it in the clear. Null when there is none. */
export async function sealUserData(secrets: SecretService, owner: UserDataOwner, text: string): Promise<SealedSecret | null> {
  if (text === '') return null;
  const { id: ownerId, tenantId, projectId } = owner;
  return secrets.seal({ ownerId, tenantId, projectId, purpose: PURPOSE, value: text });
}

/** @throws as `SecretService.open` */
export async function openUserData(
  secrets: SecretService,
  reader: Reader,
  machine: { id: string; user_data: string; user_data_secret: SecretRef | null },
): Promise<string> {
  // A machine that an older version has made is sealed by the reconciler; until then it has its text.
  if (machine.user_data_secret === null) return machine.user_data;
  return (await secrets.open(reader, machine.user_data_secret, machine.id)).revealText();
}
