import type { Context } from '../context.js';
import { endSession } from '../session.js';
import { forgetLogin, keptLogin, withSettingsLock, type Login } from '../settings.js';

/** Forgets address and credential, and ends a sign-in by an issuer there. */
export async function logout({ output }: Context): Promise<void> {
  // A renewal that is under way would else keep what it gets.
  const kept = await withSettingsLock(async () => {
    const login = await keptLogin();
    await forgetLogin();
    return login;
  });
  if (kept === undefined) {
    output.record([['signed out of', 'nothing: nobody was signed in']], { url: null, isEnded: true });
    return;
  }
  const { isEnded, remark } = await end(kept);
  output.record([['signed out of', kept.url], ['and', remark]], { url: kept.url, isEnded });
}

/** Whether what was kept is worth nothing now, to whoever has a copy of it. */
async function end({ session }: Login): Promise<{ isEnded: boolean; remark: string }> {
  if (session === undefined) return { isEnded: false, remark: 'the token was forgotten; it holds until it is revoked or expires' };
  if (await endSession(session)) return { isEnded: true, remark: `the sign-in was ended at ${session.issuer}` };
  return { isEnded: false, remark: `the sign-in was forgotten; ${session.issuer} could not be told and keeps it until it expires` };
}
