const MAX_REDIRECTS = 20;

interface Page {
  /** Where the browser ended up; of another origin it is not asked for. */
  url: string;
  status: number;
  body: string;
}

/** As much of a web browser as signing in needs: cookies, redirects within one origin, forms, and those that send themselves. */
export class Browser {
  private readonly cookies = new Map<string, { value: string; path: string }>();

  constructor(private readonly origin: string) {}

  async open(address: string, init: RequestInit = {}): Promise<Page> {
    let url = new URL(address, this.origin);
    let request = init;
    for (let step = 0; step < MAX_REDIRECTS; step += 1) {
      if (url.origin !== this.origin) return { url: url.href, status: 0, body: '' };
      const response = await fetch(url, { ...request, redirect: 'manual', headers: { ...request.headers, cookie: this.cookiesFor(url.pathname) } });
      for (const cookie of response.headers.getSetCookie()) this.keep(cookie);
      const location = response.headers.get('location');
      if (location === null) {
        const page = { url: url.href, status: response.status, body: await response.text() };
        return page.body.includes('document.forms[0].submit()') ? this.submit(page) : page;
      }
      url = new URL(location, url);
      request = {};
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects`);
  }

  /** Sends the one form of a page by the button with this name and value. */
  async submit(page: Page, button: Record<string, string> = {}, filled: Record<string, string> = {}): Promise<Page> {
    const action = /<form[^>]* action="([^"]+)"/.exec(page.body)?.[1];
    if (action === undefined) throw new Error(`there is no form on ${page.url}:\n${page.body}`);
    const inputs = [...page.body.matchAll(/<input[^>]*type="hidden"[^>]*>/g)].map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value')]);
    const body = new URLSearchParams({ ...(Object.fromEntries(inputs) as Record<string, string>), ...filled, ...button });
    return this.open(new URL(action, page.url).href, { method: 'POST', body });
  }

  private keep(text: string): void {
    const [pair = '', ...attributes] = text.split(';').map((part) => part.trim());
    const at = pair.indexOf('=');
    const find = (name: string): string | undefined => attributes.find((each) => each.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1);
    const expires = find('expires');
    const name = pair.slice(0, at);
    const key = `${name} ${find('path') ?? '/'}`;
    if (expires !== undefined && Date.parse(expires) <= Date.now()) this.cookies.delete(key);
    else this.cookies.set(key, { value: pair, path: find('path') ?? '/' });
  }

  private cookiesFor(path: string): string {
    return [...this.cookies.values()].filter((cookie) => path.startsWith(cookie.path)).map(({ value }) => value).join('; ');
  }
}

function attribute(tag: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(tag)?.[1] ?? '';
}
