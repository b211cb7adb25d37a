import { afterEach, describe, expect, it, vi } from 'vitest';
import { standaloneArguments } from './arguments.js';

describe('what npm start is asked for', () => {
  afterEach(() => vi.restoreAllMocks());

  it('has a value for everything, and the issuer two above the API unless that may be anywhere', () => {
    expect(standaloneArguments([])).toEqual({ data: '.muon', port: 8080, issuerPort: 8082, demo: false, once: false });
    expect(standaloneArguments(['--port', '9000', '--demo', '--once'])).toMatchObject({ port: 9000, issuerPort: 9002, demo: true, once: true });
    expect(standaloneArguments(['--port', '0'])).toMatchObject({ port: 0, issuerPort: 0 });
    expect(standaloneArguments(['--issuer-port', '7'])).toMatchObject({ port: 8080, issuerPort: 7 });
  });

  it.each([['--nonsense'], ['--port', 'abc'], ['--port', '65536'], ['--port', '-1'], ['surplus']])('refuses %s %s in a line', (...words) => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`ended with ${code}`);
    });
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    expect(() => standaloneArguments(words)).toThrow('ended with 1');
    expect(exit).toHaveBeenCalledOnce();
    expect(said.mock.calls.join('')).toMatch(/^error: [^\n]+\n$/);
  });
});
