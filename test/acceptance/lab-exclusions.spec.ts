import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { labExclusions } from './lab-exclusions.js';

describe('what is left out on the lab', () => {
  const files = new Map(
    readdirSync(import.meta.dirname)
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => [name, readFileSync(new URL(name, import.meta.url), 'utf8')]),
  );

  it.each(labExclusions.map((exclusion) => ({ ...exclusion, title: exclusion.test ?? 'everything' })))('$file, $title: is there to be left out', ({ file, test, because }) => {
    expect([...files.keys()]).toContain(file);
    if (test !== undefined) expect(files.get(file)).toContain(`it('${test}'`);
    expect(because.length).toBeGreaterThan(10);
  });

  it('is named once', () => {
    const places = labExclusions.map(({ file, test }) => `${file} ${test ?? ''}`);
    expect(places.filter((place, index) => places.indexOf(place) !== index)).toEqual([]);
    const whole = labExclusions.filter(({ test }) => test === undefined).map(({ file }) => file);
    expect(labExclusions.filter(({ file, test }) => test !== undefined && whole.includes(file))).toEqual([]);
  });
});
