import { parseSync } from 'vite';

export interface Import {
  specifier: string;
  line: number;
  /** Gone after compilation, so it cannot make a cycle at run time. */
  typeOnly: boolean;
}

interface SyntaxNode {
  type: string;
  start: number;
  [key: string]: unknown;
}

/** Everything that a file imports, also by `export … from`, `import()` and in types. */
export function importsOf(path: string, text: string): Import[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path} cannot be parsed: ${errors[0]?.message}`);
  const found: Import[] = [];
  visit(program as unknown as SyntaxNode, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    found.push({ specifier, line: text.slice(0, node.start).split('\n').length, typeOnly: isTypeOnly(node) });
  });
  return found;
}

function visit(node: SyntaxNode, callback: (node: SyntaxNode) => void): void {
  callback(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) if (isNode(child)) visit(child, callback);
  }
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

function specifierOf(node: SyntaxNode): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return textOf(node['source']);
    case 'TSExternalModuleReference':
      return textOf(node['expression']);
    default:
      return undefined;
  }
}

function textOf(node: unknown): string | undefined {
  const value = isNode(node) ? node['value'] : undefined;
  return typeof value === 'string' ? value : undefined;
}

function isTypeOnly(node: SyntaxNode): boolean {
  if (node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type') return true;
  const specifiers = (node['specifiers'] ?? []) as { importKind?: string; exportKind?: string }[];
  return specifiers.length > 0 && specifiers.every((one) => (one.importKind ?? one.exportKind) === 'type');
}
