export { clustersRoom } from './room.js';
