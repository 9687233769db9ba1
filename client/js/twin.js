/**
 * The engine that a world learned from, beside its dream: the same actions, its own pictures on a canvas of yours.
 *
 *     const twin = openTwin(world, canvas, { seed: 7, onEnd: (why) => console.log(why) });
 *     twin.close();
 *
 * The session begins anew, from the engine's first picture where the world takes one. `listTwins` says for which worlds
 * the server has an engine. Knows one WebSocket and a canvas; no page.
 */

import { CanvasVideo, unpackFrame } from './canvas.js';

/** Worlds whose engine the server has. @param {string} [base] the server's address; this page's server when absent @returns {Promise<string[]>} */
export async function listTwins(base = '') {
  const answer = await fetch(`${base}/v1/twins`).catch(() => null);
  return answer?.ok ? (await answer.json()).worlds : [];
}

/**
 * @param {import('./worldloom.js').World} world that somebody drives
 * @param {HTMLCanvasElement} canvas
 * @param {object} options
 * @param {number} options.seed what the engine begins with
 * @param {() => void} [options.onShown] a picture of the engine is shown
 * @param {(why: string) => void} [options.onEnd] it follows no more, and not by our wish
 * @returns {{close: () => void}}
 */
export function openTwin(world, canvas, { seed, onShown = () => {}, onEnd = () => {} }) {
  const socket = new WebSocket(new URL('/v1/twin', (world.base || location.origin).replace(/^http/, 'ws')));
  socket.binaryType = 'arraybuffer';
  const video = new CanvasVideo(canvas, onShown);
  let open = true;
  let why = 'the server does not answer';
  const leave = () => {
    open = false;
    socket.close();
    video.close();
  };
  socket.onopen = () => socket.send(JSON.stringify({ resume: world.tokens.resume, seed }));
  socket.onmessage = ({ data }) => {
    if (typeof data !== 'string') return video.put(unpackFrame(data), performance.now());
    const { begin, end } = JSON.parse(data);
    why = end ?? why;
    if (begin && open) world.reset(begin.seed, begin.image ?? undefined).catch((error) => (why = error.message));
  };
  socket.onclose = () => {
    if (!open) return;
    leave();
    onEnd(why);
  };
  return { close: leave };
}
