/**
 * Reaching a server: its list of worlds, and the control WebSocket: `hello` out, `welcome` or a refusal in.
 *
 * Knows nothing of what follows.
 */

/** How long the server may take to answer `hello`, ms: opening a world may load its weights. */
const WELCOME_MS = 15000;

/**
 * @typedef {object} AxisInfo
 * @property {string} name
 * @property {number} low lowest value of one frame, in `unit`
 * @property {number} high
 * @property {string} unit
 * @property {'level' | 'amount'} kind a level holds until changed; an amount is spent once
 */

/**
 * @typedef {object} WorldInfo what the server says about a world
 * @property {string} name
 * @property {string} title
 * @property {string} help
 * @property {number} height pixels
 * @property {number} width pixels
 * @property {[number, number]} fps frames a second, as numerator and denominator
 * @property {number} chunk frames that one step makes
 * @property {{buttons: string[], axes: AxisInfo[], keys: Object<string, {column: string, value: number}>, look: (string | null)[]}} actions
 */

/** The server said no, or did not answer. */
export class Refused extends Error {
  /**
   * @param {string} code stable, for example `busy`
   * @param {string} message for people
   * @param {boolean} retryable the same request may succeed later
   */
  constructor(code, message, retryable) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

/** A server's worlds. @returns {Promise<WorldInfo[]>} */
export async function listWorlds(base = '') {
  const answer = await fetch(`${base}/v1/worlds`);
  if (!answer.ok) throw new Refused('unreachable', `the server answered ${answer.status} when asked for its worlds`, true);
  return (await answer.json()).worlds;
}

/**
 * Brings a picture to start from. @param {Blob} file PNG, JPEG or WebP @param {string} [bearer] where tokens are asked for
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
 * @param {string | undefined} url this page's server when absent
 * @param {object} hello the first message
 * @param {number} [patienceMs] how long the server may take, unless it says that we wait for a place
 * @param {(waiting: {position: number, estimate_s?: number}) => void} [onWaiting]
 * @param {() => void} [onOpen] the WebSocket is open, `hello` on its way
 * @returns {Promise<{socket: WebSocket, welcome: object}>}
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
    socket.onclose = () => {
      clearTimeout(timer);
      reject(refusal);
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === 'error') refusal = new Refused(message.code, message.message, message.retryable);
      if (message.type === 'error') socket.close();
      if (message.type === 'waiting') {
        clearTimeout(timer);
        onWaiting(message);
      }
      if (message.type !== 'welcome') return;
      clearTimeout(timer);
      socket.onopen = socket.onclose = socket.onmessage = null;
      resolve({ socket, welcome: message });
    };
  });
}
