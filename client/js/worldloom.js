/**
 * Worldloom in a page: `connect` opens a world, shows it in a <video> or on a <canvas>, and gives the `World` to steer.
 *
 *     import { connect, captureInput } from './worldloom.js';
 *     const world = await connect({ world: 'doom', video, canvas });
 *     captureInput(world, stage);
 *     const { frame } = await world.press('KeyW');   // the first frame that the key shaped
 *
 * Pictures come over WebRTC, or over the WebSocket where WebRTC finds no path; controls always travel over the
 * WebSocket. Each carries a number, and the server says what became of it. A lost connection comes back by itself, to
 * the same world at the same frame; what was said and not answered meanwhile fails (`receipts.js`). A spectator passes
 * another session's watch token and cannot steer.
 */

import { Beat } from './beat.js';
import { HEADER_BYTES, unpackFrame } from './canvas.js';
import { Controls } from './controls.js';
import { Line } from './line.js';
import { Meter } from './meter.js';
import { Receipts } from './receipts.js';
import { Refused } from './refused.js';
import { fetchWalk, uploadImage } from './socket.js';
import { View } from './view.js';

export { captureGamepad } from './gamepad.js';
export { captureInput } from './input.js';
export { listScenes, listWorlds } from './socket.js';
export { defaultSticks } from './sticks.js';
export { captureTouchPad } from './touchpad.js';
export { listTwins, openTwin } from './twin.js';
export { Replay, packWalk, unpackWalk } from './walk.js';
export { Refused };

/** How often the server is told how long inputs took, ms. */
const REPORT_EVERY = 1000;

/** @typedef {import('./options.js').Options} Options */

/**
 * Opens a world.
 *
 * @param {Options} options
 * @returns {Promise<World>}
 * @throws {Refused} the server said no, for example `busy`, or there is no server
 */
export async function connect(options) {
  const world = new World(options);
  try {
    await world.open();
  } catch (error) {
    world.close();
    throw error;
  }
  return world;
}

/**
 * One open world. Events, with what `detail` holds:
 * `receipt` {seq, status, frame, control}; `transport` {transport}: pictures flow this way from now on; `stats` the
 * server's figures; `fault` {code, message, seq}: one request was refused; `notice`
 * {code, message, seconds}: what will end the session, and when, or what has ended its recording; `lost`: the
 * connection is gone and is being sought again; `back`: the same session goes on, and no key is held any more; `closed` {code, message, retryable}.
 */
export class World extends Controls {
  /** @param {Options} options */
  constructor(options) {
    super();
    this.options = options;
    this.meter = new Meter();
    this.beat = new Beat((ms) => this.shift(ms));
    this.receipts = new Receipts();
    this.lastSeq = 0;
    /** The world; there once `connect` has returned. */
    this.info = /** @type {import('./protocol.js').WorldInfo} */ (/** @type {unknown} */ (null));
    /** @type {string[]} */
    this.worlds = []; // names that the server serves
    /** @type {string | null} */
    this.session = null;
    /** @type {number | null} */
    this.seed = options.seed ?? null;
    /** @type {'webrtc' | 'websocket' | 'none'} */
    this.transport = 'none'; // how pictures flow
    /** @type {import('./protocol.js').StatsMessage | null} */
    this.server = null; // the server's latest `stats`
    this.paused = false;
    this.recording = false; // this session is being recorded
    this.canRecord = false; // the server takes `record`
    this.reach = 0; // seconds that `rewind` goes back at the most
    this.closed = false;
    /** @type {'drive' | 'watch'} */
    this.role = 'drive';
    /** @type {{resume: string | null, watch: string | null}} */
    this.tokens = { resume: null, watch: null };
    this.view = new View(options, this.meter, {
      post: (message) => this.post(message),
      onFlowing: (transport) => {
        this.transport = transport;
        this.emit('transport', { transport });
      },
      onSpare: (spareMs, periodMs) => this.role === 'drive' && options.mode !== 'lockstep' && this.beat.shown(spareMs, periodMs),
      onDead: (why) => this.end({ code: 'no_path', message: `WebRTC shows nothing: ${why}`, retryable: true }),
    });
    this.line = new Line(options.url, {
      onMessage: (message) => this.hear(message),
      onPicture: (data) => this.see(data),
      hello: () => ({ type: 'hello', protocol: 1, video: this.view.transport, format: this.view.format, watch: options.watch }),
      onWaiting: (waiting) => options.onWaiting?.(waiting),
      onLost: () => this.emit('lost', {}),
      onBack: (welcome) => this.back(welcome),
      onEnd: (why) => this.end(why),
    });
    this.reporting = setInterval(() => this.report(), REPORT_EVERY);
    this.onVisible = () => document.hidden || this.meter.forget();
    globalThis.document?.addEventListener('visibilitychange', this.onVisible);
  }

  /** Name of the world. */
  get world() {
    return this.info?.name ?? null;
  }

  /** Opens the connection and starts the pictures. Used by `connect`. */
  async open() {
    const { world, mode, deterministic, wait, token, resume, watch, prompt } = this.options;
    const asked = await this.view.asked();
    this.settle(await this.line.open({ type: 'hello', protocol: 1, world, seed: this.seed ?? undefined, prompt: prompt ?? undefined, mode, deterministic, wait, token, resume, watch, ...asked }));
    this.meter.restart();
    this.view.begin();
  }

  /** @param {import('./protocol.js').WelcomeMessage} welcome */
  settle(welcome) {
    this.info = welcome.world;
    this.worlds = welcome.worlds;
    this.session = welcome.session;
    this.seed = welcome.seed;
    this.role = welcome.role;
    this.canRecord = welcome.role === 'drive' && Boolean(welcome.limits?.recording);
    this.reach = welcome.role === 'drive' ? (welcome.limits?.rewind ?? 0) : 0;
    this.view.ice = {
      iceServers: (welcome.ice_servers ?? []).map((server) => ({ ...server })),
      iceTransportPolicy: welcome.relay_only ? 'relay' : 'all',
    };
    this.tokens = { resume: welcome.resume ?? null, watch: welcome.watch ?? null };
    this.lastSeq = Math.max(this.lastSeq, welcome.last_seq ?? 0);
  }

  /** The connection was lost and is there again: the same session. @param {import('./protocol.js').WelcomeMessage} welcome */
  back(welcome) {
    this.settle(welcome);
    this.receipts.back(welcome.last_seq ?? 0);
    this.meter.forget();
    this.beat.restart();
    this.view.begin();
    this.emit('back', {});
  }

  /** A JSON message arrived. @param {import('./protocol.js').ServerMessage} message */
  hear(message) {
    switch (message.type) {
      case 'receipt': return this.hearReceipt(message);
      case 'frame':
      case 'answer':
      case 'candidate': return this.view.hear(message);
      case 'pong': return this.meter.roundTrip(performance.now() - message.t);
      case 'stats':
        this.server = message;
        this.recording = message.recording ?? false;
        return this.emit('stats', message);
      case 'error':
        this.receipts.refuse(message);
        return this.emit('fault', message);
      case 'notice': return this.emit('notice', message);
      default:
        return undefined; // a later server may say more
    }
  }

  /** @param {import('./protocol.js').ReceiptMessage} receipt */
  hearReceipt(receipt) {
    const control = this.receipts.put(receipt);
    this.meter.receipt(receipt);
    if (receipt.status === 'applied' && control?.type === 'reset' && control.seed !== undefined) this.seed = control.seed;
    if (receipt.status !== 'rejected' && (control?.type === 'pause' || control?.type === 'resume')) this.paused = control.type === 'pause';
    if (receipt.status === 'applied' && control?.type === 'record') this.recording = control.on;
    this.emit('receipt', { ...receipt, control });
  }

  /** A binary message arrived: a picture. @param {ArrayBuffer} data */
  see(data) {
    const nowMs = performance.now();
    const frame = unpackFrame(data);
    this.meter.arrived(HEADER_BYTES + frame.payload.length, nowMs);
    this.view.see(frame, nowMs);
  }

  /** Begins the world anew from a picture. @param {Blob} file PNG, JPEG or WebP @throws {Refused} */
  async startFrom(file) {
    return this.reset(undefined, await uploadImage(file, this.options.token ?? this.tokens.resume, this.base));
  }

  /** The walk since the world began, for `packWalk` and `Replay`; its driver's alone. @throws {Refused} */
  walk() {
    return fetchWalk(this.tokens.resume, this.base);
  }

  /** The server's address; empty: this page's server. */
  get base() { return this.line.url ? new URL(this.line.url.replace(/^ws/, 'http')).origin : ''; }

  /**
   * Sends one control with the next number. Inputs by hand are timed from `atMs`, when they happened.
   * @override @param {import('./controls.js').Said} message @param {number} [atMs] @returns {import('./receipts.js').Sent}
   */
  control(message, atMs = performance.now()) {
    const seq = ++this.lastSeq;
    const sent = this.receipts.say(seq, message);
    if (!this.post({ ...message, seq })) {
      this.receipts.fail([seq], 'connection_lost', 'there is no connection now');
      return sent;
    }
    this.line.follow();
    if (['key', 'look', 'axes', 'action'].includes(message.type)) this.meter.input(seq, atMs);
    return sent;
  }

  /** @param {import('./protocol.js').ClientMessage} message @returns {boolean} whether it left */
  post(message) {
    return this.line.post(message);
  }

  /** Tells the server how long inputs took to become light. */
  report() {
    const photons = this.role === 'drive' ? this.meter.takeReport() : [];
    if (photons.length > 0) this.post({ type: 'report', photons });
  }

  /** Figures of this page and the server's latest, in milliseconds and frames a second. */
  stats() {
    return {
      transport: this.transport,
      world: this.world,
      world_fps: this.info ? this.info.fps[0] / this.info.fps[1] : null,
      session: this.session,
      ...this.meter.stats(),
      frames_replaced: this.view.replaced,
      rtt_ms: this.meter.rtt,
      server: this.server,
    };
  }

  /** Starts the figures of `stats` afresh, for a measurement that begins now. */
  clearStats() {
    this.meter.clear();
  }

  /** Ends the session; the server frees it at once. */
  close() {
    if (this.closed) return;
    this.hangUp();
    this.line.close('closed by the page');
  }

  /** Leaves without ending the session: for a moment, `tokens.resume` opens it again. For a page that is reloaded. */
  leave() {
    if (this.closed) return;
    this.hangUp();
    this.line.leave();
  }

  hangUp() {
    this.closed = true;
    clearInterval(this.reporting);
    this.receipts.close('session_closed', 'the session has ended');
    globalThis.document?.removeEventListener('visibilitychange', this.onVisible);
    this.view.close();
  }

  /** The connection is over, and not by our wish. @param {import('./line.js').Why} why */
  end({ code, message, retryable }) {
    if (this.closed) return;
    this.close();
    this.emit('closed', { code, message, retryable });
  }

  /** @param {string} type @param {unknown} detail */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
