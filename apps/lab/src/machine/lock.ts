import { createServer, type Server } from 'node:net';
import { Failure } from '../failure.js';

/** A socket without a file: the kernel gives the name to one process at a time and takes it back however that ends. */
const NAME = '\0muon-lab';

/** There is one lab a machine, and one command at a time that changes it. @throws Failure */
export async function withLock<T>(work: () => Promise<T>, name = NAME): Promise<T> {
  const server = await hold(name);
  try {
    return await work();
  } finally {
    server.close();
  }
}

async function hold(name: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const message = error.code === 'EADDRINUSE' ? 'Another lab command is at work on this machine. Try again when it has ended.' : error.message;
      reject(new Failure(message));
    });
    server.listen(name, () => resolve(server));
  });
}
