/**
 * Runs the tests in stages and says what each took. With arguments (paths, or options of vitest) only what they name, in
 * one go: `npm test -- libs/core`.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

const stages = [
  { title: 'unit and room', project: 'room', folder: 'libs' },
  { title: 'acceptance', project: 'acceptance', folder: 'test/acceptance' },
  { title: 'faults', project: 'faults', folder: 'test/faults' },
].filter(({ folder }) => existsSync(folder));

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`.padStart(9);

async function vitest(programArguments) {
  const child = spawn('vitest', ['run', ...programArguments], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0));
  });
}

async function runNamed(programArguments) {
  return vitest([...stages.flatMap(({ project }) => ['--project', project]), ...programArguments]);
}

async function runAll() {
  const lines = [];
  let failed = 0;
  for (const { title, project } of stages) {
    const start = Date.now();
    console.log(`\n# ${title}`);
    const passed = await vitest(['--project', project]);
    if (!passed) failed += 1;
    lines.push(`${passed ? 'passed' : 'FAILED'}  ${seconds(Date.now() - start)}  ${title}`);
  }
  console.log(['', ...lines, `${stages.length - failed} stages passed, ${failed} failed`].join('\n'));
  return failed === 0;
}

const named = process.argv.slice(2);
process.exitCode = (await (named.length > 0 ? runNamed(named) : runAll())) ? 0 : 1;
