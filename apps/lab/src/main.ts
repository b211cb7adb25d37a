import { StateFolder } from './state.js';
import { up } from './up.js';
import { down } from './down.js';
const folder = new StateFolder('.muon/lab');
const note = (t: string) => console.error(t);
if (process.argv[2] === 'up') await up({ folder, hosts: undefined, note });
else await down({ folder, keep: false, note });
