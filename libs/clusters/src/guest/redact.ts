const MAX_SHOWN = 400;
const PEM = /-----BEGIN [^-]+-----[\s\S]*?(-----END [^-]+-----|$)/g;
const BOOTSTRAP_TOKEN = /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g;
/** Keys and certificates in base64, hashes, certificate keys. */
const LONG_WORD = /[A-Za-z0-9+/=_-]{40,}/g;

/** The end of what a script said, for the people who own the cluster, without anything that could be a secret. */
export function redactOutput(text: string): string {
  const clean = text
    .replace(PEM, '[redacted]')
    .replace(BOOTSTRAP_TOKEN, '[redacted]')
    .replace(LONG_WORD, '[redacted]')
    .replace(/[^\P{C}\n]/gu, '')
    .trim();
  return clean.length <= MAX_SHOWN ? clean : `…${clean.slice(-MAX_SHOWN)}`;
}
