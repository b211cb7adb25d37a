/**
 * The floor of lists: plain Fastify and the same two prepared statements that any server would need, without GraphQL,
 * rights, filters or paging. `node list-server.js <database url> <project id>`.
 */
import Fastify from 'fastify';
import pg from 'pg';

const [databaseUrl = '', projectId = ''] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 });

const MACHINES = {
  name: 'machines',
  text: `SELECT id, name, lifecycle, cpu, memory_mib, flavor_id, created_at, created_at::text AS key FROM virtual_machine
    WHERE project_id = $1 ORDER BY created_at, id LIMIT 51`,
};
const FLAVORS = { name: 'flavors', text: 'SELECT id, name FROM flavor WHERE id = ANY($1)' };

interface MachineRow {
  id: string;
  name: string;
  lifecycle: string;
  cpu: number;
  memory_mib: number;
  flavor_id: string;
  created_at: Date;
  key: string;
}

const app = Fastify();
app.get('/machines', async () => {
  const { rows } = await pool.query<MachineRow>({ ...MACHINES, values: [projectId] });
  const page = rows.slice(0, 50);
  const flavors = await pool.query<{ id: string; name: string }>({ ...FLAVORS, values: [[...new Set(page.map((row) => row.flavor_id))]] });
  const byId = new Map(flavors.rows.map((row) => [row.id, row]));
  const nodes = page.map((row) => ({
    id: row.id,
    name: row.name,
    state: row.lifecycle,
    cpu: row.cpu,
    memoryMib: row.memory_mib,
    createdAt: row.created_at.toISOString(),
    flavor: byId.get(row.flavor_id),
  }));
  const last = page.at(-1);
  const endCursor = Buffer.from(JSON.stringify(['virtual_machine.list', 'CREATED', last?.key, last?.id])).toString('base64url');
  return { data: { virtualMachines: { nodes, pageInfo: { hasNextPage: rows.length > 50, endCursor } } } };
});
console.log(JSON.stringify({ url: await app.listen({ port: 0, host: '127.0.0.1' }) }));
process.on('SIGTERM', () => void app.close().then(() => pool.end()));
