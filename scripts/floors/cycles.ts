/** The groups of nodes that reach each other (Tarjan's strongly connected components), each with more than one way in. */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];

  function connect(node: string): void {
    index.set(node, index.size);
    low.set(node, index.get(node) as number);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) connect(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) as number, low.get(next) as number));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1 || graph.get(node)?.includes(node)) cycles.push(shortestCycle(group, graph));
  }

  for (const node of graph.keys()) if (!index.has(node)) connect(node);
  return cycles;
}

/** A whole group may be large; the shortest way round names the imports that are worth changing. */
function shortestCycle(group: readonly string[], graph: ReadonlyMap<string, readonly string[]>): string[] {
  const start = [...group].sort()[0] as string;
  const previous = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) return pathTo(node, previous);
      if (!group.includes(next) || previous.has(next)) continue;
      previous.set(next, node);
      queue.push(next);
    }
  }
  return [...group];
}

function pathTo(end: string, previous: ReadonlyMap<string, string>): string[] {
  const path = [end];
  for (let node = previous.get(end); node !== undefined; node = previous.get(node)) path.unshift(node);
  return path;
}
