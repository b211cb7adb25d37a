import { globSync, readFileSync } from 'node:fs';

const LIMIT = 400;
/** Cases side by side read well at a length where code does not. */
const SPEC_LIMIT = 600;

export function tooLongFiles(root: string): string[] {
  return globSync(['{apps,libs,test,scripts}/**/*.{ts,mjs}', '*.ts'], { cwd: root })
    .sort()
    .flatMap((path) => lengthBreach(path, readFileSync(`${root}/${path}`, 'utf8')) ?? []);
}

export function lengthBreach(path: string, text: string): string | undefined {
  const lines = text.trimEnd().split('\n').length;
  const limit = path.endsWith('.spec.ts') ? SPEC_LIMIT : LIMIT;
  return lines > limit ? `${path}:${limit}  has ${lines} lines; ${limit} are allowed` : undefined;
}
