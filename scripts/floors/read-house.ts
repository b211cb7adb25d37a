import { globSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { House } from './check.ts';

export function readHouse(root: string): House {
  const paths = globSync(['apps/**/*.ts', 'libs/**/*.ts', 'test/**/*.ts'], { cwd: root }).sort();
  const files = new Map(paths.map((path) => [path, readFileSync(`${root}/${path}`, 'utf8')]));
  const { imports } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {
    imports: Record<string, { source: string }>;
  };
  const doors = new Map(Object.entries(imports).map(([door, { source }]) => [door, relative('.', source)]));
  return { files, doors };
}
