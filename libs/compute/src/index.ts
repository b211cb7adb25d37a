export { computeRoom } from './room.js';
