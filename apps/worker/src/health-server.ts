import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Health } from '../../composition/src/health.js';

export interface HealthServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves /livez, /readyz and /metrics of a process that has no other HTTP. */
export async function serveHealth(health: Health, host: string, port: number): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    health.answer(path).then(
      (answer) => {
        const { status, contentType, body } = answer ?? { status: 404, contentType: 'text/plain', body: 'not found' };
        response.writeHead(status, { 'content-type': contentType }).end(body);
      },
      () => response.writeHead(500).end(),
    );
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${bound}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
