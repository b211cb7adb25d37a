import { fileURLToPath } from 'node:url';

/** A built program of the project, also for those who are built themselves and so lie in `dist`. */
export const builtProgram = (path: string): string =>
  fileURLToPath(new URL(import.meta.url.includes('/dist/test/') ? `../../${path}` : `../../dist/${path}`, import.meta.url));
