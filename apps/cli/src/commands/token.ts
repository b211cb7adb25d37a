import type { Context } from '../context.js';

/** A token that a new installation is started with (MUON_BOOTSTRAP_TOKEN_FILE); made here, known to nobody. */
export async function generateToken({ output }: Context): Promise<void> {
  const { createToken } = await import('#identity/token');
  const { text } = createToken();
  if (output.format === 'json') output.json({ token: text });
  else output.text(text);
}
