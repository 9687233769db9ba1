/**
 * The control connection, which comes back by itself: when it is lost without a word, it is opened again and the same
 * session goes on, for as long as the server keeps it.
 *
 * Knows the WebSocket, `hello` and `welcome`; nothing of pictures or controls.
 */

import { Refused } from './refused.js';
import { findPlace, leasePlace, openSocket } from './socket.js';

/** How often the round trip is measured, ms. */
const PING_EVERY = 1000;
/**
 * A control is followed by a ping after so many ms, and by another. A packet that is lost is missed when a later one
 * arrives; TCP sends the last one again only when its timer runs out, some 300 ms later.
 */
const FOLLOW_AFTER = [20, 60];
/** A server that says nothing for so long is away, ms; it answers every ping. */
const SILENCE = 3000;
/** Waits between two attempts to come back, ms; the last one repeats. */
const WAITS = [100, 300, 600, 1000, 2000];
/** How long one attempt may take, ms: a first packet that is lost is sent again after one second. */
const ATTEMPT = 2500;
/** How long to try, ms: as long as servers keep an orphan. */
const TRY_FOR = 60000;

/** What passes: no server there, no place; and at a gateway the session is between two servers. */
const PASSING = ['unreachable', 'busy'];
const PASSING_AT_GATEWAYS = [...PASSING, 'engine_lost', 'draining'];

/** @typedef {import('./protocol.js').ClientMessage} ClientMessage */
/** @typedef {import('./protocol.js').HelloMessage} Hello */
/** @typedef {import('./protocol.js').WelcomeMessage} Welcome */
/** @typedef {{code: string, message: string, retryable: boolean}} Why */

export class Line {
  /**
   * @param {string | undefined} url of the server's WebSocket, this page's server when absent; or one that ends in
   *   /v1/sessions: a place is asked for there, and where the session is when the line was lost
   * @param {object} calls
   * @param {(message: import('./protocol.js').ServerMessage) => void} calls.onMessage JSON from the server
   * @param {(data: ArrayBuffer) => void} calls.onPicture a binary message
   * @param {() => Hello} calls.hello what to ask for when the session is opened again
   * @param {(waiting: import('./protocol.js').WaitingMessage) => void} calls.onWaiting every place is taken
   * @param {() => void} calls.onLost the line is gone; trying to come back
   * @param {(welcome: Welcome) => void} calls.onBack the same session goes on
   * @param {(why: Why) => void} calls.onEnd it is over
   */
  constructor(url, calls) {
    this.url = url;
    this.gateway = url && /\/v1\/sessions\/?$/.test(url) ? url.replace(/\/$/, '').replace(/^ws/, 'http') : null;
    this.session = '';
    this.calls = calls;
    this.closed = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {string | null} */
    this.resume = null; // the token that opens this session again
    /** @type {Why | null} */
    this.failure = null; // the server's latest error
    /** @type {ReturnType<typeof setTimeout>[]} */
    this.following = []; // timers of the pings after the latest control
    this.heardMs = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.pinging = undefined;
  }

  /** Opens a session. @param {Hello} hello @param {number} [patienceMs] @returns {Promise<Welcome>} @throws {Refused} */
  async open(hello, patienceMs) {
    const asked = this.gateway ? await this.place(this.gateway, hello) : hello;
    const { socket, welcome } = await openSocket(this.url, asked, patienceMs, this.calls.onWaiting).catch((error) => {
      const moved = this.gateway && this.resume && error.code === 'unknown_session'; // the gateway knows it soon
      throw moved ? new Refused('engine_lost', 'the session is not where the gateway said', true) : error;
    });
    if (this.closed) {
      socket.close(1000);
      throw new Refused('closed', 'closed by the page', false);
    }
    this.socket = socket;
    this.resume = welcome.resume ?? null;
    this.session = welcome.session;
    this.failure = null;
    this.heardMs = performance.now();
    socket.onmessage = ({ data }) => this.hear(data);
    socket.onclose = (event) => this.lost(event);
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.ping(), PING_EVERY);
    this.ping();
    return welcome;
  }

  /** A new place, or where the session is by now. @param {string} gateway @param {Hello} hello @returns {Promise<Hello>} */
  async place(gateway, hello) {
    const place = this.resume ? await findPlace(gateway, this.session, this.resume) : await leasePlace(gateway, hello);
    this.url = `${place.worker_url.replace(/^http/, 'ws')}/v1/session`;
    return place.token ? { ...hello, resume: place.token } : hello;
  }

  /** @param {ClientMessage} message @returns {boolean} whether it left */
  post(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Soon sends what makes a lost packet be missed: the latest message is one that cannot wait. */
  follow() {
    this.following.forEach(clearTimeout);
    this.following = FOLLOW_AFTER.map((ms) => setTimeout(() => this.post({ type: 'ping', t: performance.now() }), ms));
  }

  /** Ends the session; nothing is called any more. @param {string} reason */
  close(reason) {
    if (this.closed) return;
    this.post({ type: 'bye', reason: reason.slice(0, 200) });
    this.leave();
  }

  /** Leaves without a word, so that the session can be opened again for a moment: a page that is being reloaded. */
  leave() {
    this.closed = true;
    clearInterval(this.pinging);
    this.following.forEach(clearTimeout);
    this.drop();
  }

  drop() {
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close(1000);
  }

  /** @param {string | ArrayBuffer} data */
  hear(data) {
    this.heardMs = performance.now();
    if (typeof data !== 'string') return this.calls.onPicture(data);
    const message = JSON.parse(data);
    if (message.type === 'error') this.failure = message;
    return this.calls.onMessage(message);
  }

  ping() {
    if (performance.now() - this.heardMs > SILENCE && !globalThis.document?.hidden) {
      this.drop();
      this.lost({ reason: '' });
      return;
    }
    this.post({ type: 'ping', t: performance.now() });
  }

  /** The connection is over, and not by our wish. @param {{reason: string}} event */
  lost({ reason }) {
    clearInterval(this.pinging);
    if (this.closed) return;
    const told = this.failure?.code === reason ? this.failure : null; // a reason without an error is the transport's
    if (told || !(this.resume || this.calls.hello().watch)) {
      const { code, message, retryable } = told ?? { code: 'connection_lost', message: reason || 'the connection to the server was lost', retryable: true };
      this.end({ code, message, retryable });
      return;
    }
    this.calls.onLost();
    this.comeBack(performance.now() + TRY_FOR, 0);
  }

  /** @param {number} deadlineMs @param {number} attempt */
  async comeBack(deadlineMs, attempt) {
    if (this.closed) return;
    try {
      this.calls.onBack(await this.open({ ...this.calls.hello(), resume: this.resume ?? undefined }, ATTEMPT));
    } catch (thrown) {
      const error = /** @type {Refused} */ (thrown);
      const passing = this.gateway ? PASSING_AT_GATEWAYS : PASSING;
      const hopeless = !passing.includes(error.code) || performance.now() > deadlineMs;
      if (this.closed) return;
      if (hopeless) this.end(error.code === 'unknown_session' ? { code: 'connection_lost', message: 'the session has ended meanwhile', retryable: true } : error);
      else setTimeout(() => this.comeBack(deadlineMs, attempt + 1), WAITS[Math.min(attempt, WAITS.length - 1)]);
    }
  }

  /** @param {Why} why */
  end(why) {
    this.leave();
    this.calls.onEnd(why);
  }
}
