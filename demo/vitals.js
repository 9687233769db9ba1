/** The figures beside the picture, redrawn twice a second from `world.stats()`. */

import { write } from './write.js';

const EVERY = 500;
const TRANSPORTS = { webrtc: 'WebRTC', websocket: 'WebSocket', none: '–' };
/** What an overloaded server gives up, for people. */
const REDUCED = {
  steps: 'The server is busy: it dreams in fewer steps for now.',
  rate: 'The server is busy: time passes more slowly here for now.',
};
const PARTS = ['wait', 'compute', 'encode', 'network', 'display'];

const byId = (id) => document.getElementById(id);
const number = (value, unit, digits = 0) => (value === null || !Number.isFinite(value) ? '–' : `${value.toFixed(digits)} ${unit}`);

/** @param {() => (import('./js/worldloom.js').World | null)} current the world that is open now */
export function showVitals(current) {
  setInterval(() => {
    const world = current();
    if (world && !document.hidden) draw(world);
  }, EVERY);
}

function draw(world) {
  const stats = world.stats();
  const { p50, p95 } = stats.input_to_photon_ms;
  write(byId('v-fps'), `${stats.fps_shown.toFixed(1)} of ${Number(stats.world_fps.toFixed(2))}`);
  write(byId('v-p50'), number(p50, 'ms'));
  write(byId('v-p95'), number(p95, 'ms'));
  write(byId('v-rate'), number(stats.bitrate_kbps, 'kbit/s'));
  write(byId('v-transport'), TRANSPORTS[stats.transport]);
  write(byId('v-size'), `${world.info.width} × ${world.info.height}`);
  const reduced = REDUCED[stats.server?.reduced] ?? '';
  byId('reduced').hidden = reduced === '';
  write(byId('reduced'), reduced); // said aloud only when it changes
  byId('parts').hidden = p50 === null;
  for (const name of PARTS) {
    const ms = stats.parts_ms[name];
    write(byId(`p-${name}`), number(ms, 'ms', ms !== null && ms < 10 ? 1 : 0));
    byId(`b-${name}`).style.flexGrow = ms ?? 0;
  }
}
