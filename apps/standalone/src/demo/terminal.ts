const paint = (code: number) => (text: string) => (process.stdout.isTTY ? `\u001B[${code}m${text}\u001B[0m` : text);
const bold = paint(1);
const dim = paint(2);
const green = paint(32);

/** What the demo prints: headings, what was asked, what came. */
export const say = {
  chapter(title: string): void {
    console.log(`\n${bold(title)}`);
  },
  done(text: string): void {
    console.log(`  ${green('✔')} ${text}`);
  },
  live(text: string): void {
    console.log(`    ${dim(text)}`);
  },
  plain(text: string): void {
    console.log(text);
  },
};
