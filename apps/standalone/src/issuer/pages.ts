import { describeHolding, PEOPLE } from './people.js';

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem}button,input[type=text]{font:inherit;padding:.6rem .8rem;border:1px solid #8c959f;border-radius:.4rem;background:#f6f8fa;width:100%;box-sizing:border-box;margin:.3rem 0;text-align:left}
button:hover,button:focus{border-color:#0969da}small{color:#57606a;display:block}code{font-size:1.6rem;letter-spacing:.1em}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}button,input[type=text]{color:inherit;background:#161b22}small{color:#8d96a0}}`;

/** Nothing is loaded and nothing is run; answers of forms may lead back to programs on this machine. */
export const PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
${body}
</html>
`;
}

/** Everything between tags that is not written here goes through this. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** @param action where the choice is posted to */
export function peoplePage(action: string): string {
  const choices = PEOPLE.map(
    (person) =>
      `<button name="subject" value="${escapeHtml(person.subject)}">${escapeHtml(person.name)}<small>${escapeHtml(describeHolding(person))}</small></button>`,
  );
  return page('Who are you?', `<form method="post" action="${escapeHtml(action)}">${choices.join('\n')}</form>
<p><small>This issuer is for trying Muon on one machine: it asks for no password.</small></p>`);
}

/** @param form of the library, whose fields the button sends */
export function codePage(form: string, problem: string | undefined): string {
  const told = problem === undefined ? 'Enter the code that your device shows.' : escapeHtml(problem);
  return page('Sign in a device', `<p>${told}</p>${form}<button type="submit" form="op.deviceInputForm">Continue</button>`);
}

export function confirmPage(form: string, code: string): string {
  return page(
    'Is this the code that your device shows?',
    `<p><code>${escapeHtml(code)}</code></p>${form}
<button type="submit" form="op.deviceConfirmForm" autofocus>Yes, go on</button>
<button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">No, I have not asked for this</button>`,
  );
}

export function donePage(): string {
  return page('Signed in', '<p>Go back to your device; this page can be closed.</p>');
}

export function problemPage(code: string, description: string | undefined): string {
  return page('That did not work', `<p>${escapeHtml(description ?? code)}</p><p><small>${escapeHtml(code)}</small></p>`);
}
