/**
 * Reaching a server: its list of worlds, and the control WebSocket: `hello` out, `welcome` or a refusal in.
 *
 * Knows nothing of what follows.
 */

import { Refused } from './refused.js';

/** How long the server may take to answer `hello`, ms: opening a world may load its weights. */
const WELCOME_MS = 15000;

/** @typedef {import('./protocol.js').WorldInfo} WorldInfo */
/** @typedef {import('./protocol.js').HelloMessage} Hello */
/** @typedef {import('./protocol.js').WelcomeMessage} Welcome */
/** @typedef {import('./protocol.js').WaitingMessage} Waiting */

/** A server's worlds. @param {string} [base] its address; this page's server when absent @returns {Promise<WorldInfo[]>} */
export async function listWorlds(base = '') {
  const answer = await fetch(`${base}/v1/worlds`);
  if (!answer.ok) throw new Refused('unreachable', `the server answered ${answer.status} when asked for its worlds`, true);
  return (await answer.json()).worlds;
}

/**
 * Brings a picture to start from.
 * @param {Blob} file PNG, JPEG or WebP
 * @param {string | null} [bearer] where tokens are asked for
 * @param {string} [base] the server's address; this page's server when absent
 * @returns {Promise<string>} its id, for `reset`
 * @throws {Refused}
 */
export async function uploadImage(file, bearer, base = '') {
  const headers = { 'content-type': file.type || 'application/octet-stream', ...(bearer && { authorization: `Bearer ${bearer}` }) };
  const answer = await fetch(`${base}/v1/images`, { method: 'POST', headers, body: file }).catch(() => null);
  const told = await answer?.json().catch(() => null);
  if (answer?.status === 201) return told.image;
  throw new Refused(told?.code ?? 'unreachable', told?.message ?? 'the server did not take the picture', true);
}

/**
 * The walk of a session.
 * @param {string | null} bearer its resume token
 * @param {string} [base] the server's address; this page's server when absent
 * @returns {Promise<import('./walk.js').Walk>}
 * @throws {Refused}
 */
export async function fetchWalk(bearer, base = '') {
  const answer = await fetch(`${base}/v1/walk`, { headers: { authorization: `Bearer ${bearer}` } }).catch(() => null);
  const told = await answer?.json().catch(() => null);
  if (answer?.ok) return told;
  throw new Refused(answer ? 'no_walk' : 'unreachable', told?.detail ?? 'the server did not tell the walk', true);
}

/**
 * A place in a world, from a server or from a gateway in front of many.
 * @param {string} url ends in /v1/sessions
 * @param {Hello} hello what is wished for
 * @returns {Promise<{session: string, worker_url: string, token: string}>}
 * @throws {Refused}
 */
export function leasePlace(url, { world, seed, prompt, mode, deterministic, token }) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  return askPlace(url, { method: 'POST', headers, body: JSON.stringify({ world, seed, prompt, mode, deterministic }) });
}

/**
 * Where a session is now.
 * @param {string} url ends in /v1/sessions
 * @param {string} session @param {string} token its resume or watch token
 * @returns {Promise<{worker_url: string, token?: string}>}
 * @throws {Refused}
 */
export function findPlace(url, session, token) {
  return askPlace(`${url}/${session}`, { headers: { authorization: `Bearer ${token}` } });
}

/** @param {string} url @param {RequestInit} request @returns {Promise<any>} @throws {Refused} */
async function askPlace(url, request) {
  const answer = await fetch(url, { ...request, signal: AbortSignal.timeout(WELCOME_MS) }).catch(() => null);
  const told = await answer?.json().catch(() => null);
  if (answer?.ok) return told;
  throw new Refused(told?.code ?? 'unreachable', told?.message ?? 'the server does not answer', !answer || answer.status === 503);
}

/**
 * A world's beginnings that were photographed.
 * @param {string} world @param {string} [base] the server's address; this page's server when absent
 * @returns {Promise<{seed: number, name: string, picture: string}[]>} `picture` is an address; none where the server has none
 */
export async function listScenes(world, base = '') {
  const answer = await fetch(`${base}/v1/worlds/${encodeURIComponent(world)}/scenes`).catch(() => null);
  return answer?.ok ? (await answer.json()).scenes : [];
}

/**
 * Opens a session: `hello` and its answer.
 * @param {string | undefined} url this page's server when absent
 * @param {Hello} hello the first message
 * @param {number} [patienceMs] how long the server may take, unless it says that we wait for a place
 * @param {(waiting: Waiting) => void} [onWaiting]
 * @param {() => void} [onOpen] the WebSocket is open, `hello` on its way
 * @returns {Promise<{socket: WebSocket, welcome: Welcome}>}
 * @throws {Refused}
 */
export function openSocket(url, hello, patienceMs = WELCOME_MS, onWaiting = () => {}, onOpen = () => {}) {
  const socket = new WebSocket(url ?? new URL('/v1/session', location.href.replace(/^http/, 'ws')));
  socket.binaryType = 'arraybuffer';
  return new Promise((resolve, reject) => {
    let refusal = new Refused('unreachable', 'the server does not answer', true);
    const timer = setTimeout(() => socket.close(), patienceMs);
    socket.onopen = () => {
      socket.send(JSON.stringify(hello));
      onOpen();
    };
    socket.onclose = socket.onerror = () => { // Node 20 says only that there was an error
      clearTimeout(timer);
      reject(refusal);
    };
    socket.onmessage = ({ data }) => {
      /** @type {import('./protocol.js').ServerMessage} */
      const message = JSON.parse(data);
      if (message.type === 'error') refusal = new Refused(message.code, message.message, message.retryable);
      if (message.type === 'error') socket.close();
      if (message.type === 'waiting') {
        clearTimeout(timer);
        onWaiting(message);
      }
      if (message.type !== 'welcome') return;
      clearTimeout(timer);
      socket.onopen = socket.onclose = socket.onerror = socket.onmessage = null;
      resolve({ socket, welcome: message });
    };
  });
}
