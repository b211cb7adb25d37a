import { linkSync, mkdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { notesFolder, readText } from './files.mjs';

const WAIT_DEADLINE_MS = 20 * 60_000;
const POLL_MS = 200;
const BREAKING_TAKES_MS = 10_000;

/** One set-up at a time for this folder; a lock left by a process that is gone does not count. */
export async function withLock(root, work) {
  const folder = notesFolder(root);
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, 'lock');
  await acquire(lock);
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

async function acquire(lock) {
  const start = Date.now();
  let told = false;
  while (!tryCreate(lock)) {
    const holder = Number(readText(lock));
    if (holder > 0 && !isAlive(holder)) {
      breakLock(lock, holder);
      continue;
    }
    if (!told) console.log(`Another set-up is at work here (process ${holder}); waiting for it.`);
    told = true;
    if (Date.now() - start > WAIT_DEADLINE_MS) {
      throw new Error(`The other set-up (process ${holder}) does not end. If it is not one, remove ${lock}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Appears with its content at once, so that no reader sees an empty lock. */
function tryCreate(lock) {
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, `${process.pid}\n`);
  try {
    linkSync(own, lock);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    unlinkSync(own);
  }
}

/** Under a lock of its own: of two that saw the dead holder, the second must not remove the first one's new lock. */
function breakLock(lock, deadHolder) {
  const breaking = `${lock}.breaking`;
  if (!tryCreate(breaking)) {
    if (ageOf(breaking) > BREAKING_TAKES_MS) rmSync(breaking, { force: true });
    return;
  }
  if (Number(readText(lock)) === deadHolder) rmSync(lock, { force: true });
  rmSync(breaking, { force: true });
}

function ageOf(file) {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
