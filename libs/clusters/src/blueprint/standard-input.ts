/** A file that a script is given on its standard input, because its content is secret or differs from node to node. */
export interface StandardInputFile {
  path: string;
  mode: '0600' | '0644';
  content: string;
}

/** A line a file: path, mode, content in base64. */
export function standardInputOf(files: readonly StandardInputFile[]): string {
  return files.map(({ path, mode, content }) => `${path} ${mode} ${Buffer.from(content, 'utf8').toString('base64')}\n`).join('');
}

/**
 * The part of a script that puts the files of its standard input in their places.
 * @param work a folder in memory, which is empty before and gone when the script ends
 * @param folders the only other folders that files may go to
 */
export function readFiles(work: string, folders: readonly string[] = []): string {
  const places = [work, ...folders].map((folder) => `${folder}/*`);
  return `rm -rf ${work}
mkdir -p ${work}
trap 'rm -rf ${work}' EXIT
while IFS=' ' read -r path mode content; do
  case "$path" in ${places.join(' | ')}) ;; *) echo "unexpected path" >&2; exit 64 ;; esac
  mkdir -p "$(dirname "$path")"
  printf '%s' "$content" | base64 -d > "$path"
  chmod "$mode" "$path"
done`;
}
