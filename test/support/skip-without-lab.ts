import { basename } from 'node:path';
import { beforeEach } from 'vitest';
import { labExclusions } from '../acceptance/lab-exclusions.js';

/** Loaded before each file of acceptance on the lab: what is left out there is skipped, and says why. */
beforeEach(({ task, skip }) => {
  const file = basename(task.file.filepath);
  const exclusion = labExclusions.find((each) => each.file === file && each.test === task.name);
  if (exclusion !== undefined) skip(exclusion.because);
});
