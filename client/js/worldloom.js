/**
 * Worldloom in a page: `connect` opens a world, shows it in a <video> or on a <canvas>, and gives the `World` to steer.
 *
 *     import { connect, captureInput } from './worldloom.js';
 *     const world = await connect({ world: 'doom', video, canvas });
 *     captureInput(world, stage);
 *
 * Pictures come over WebRTC. Where that finds no path within `FIRST_FRAME_MS`, the world is opened anew over the
 * WebSocket alone, with the same seed, and drawn on the canvas. Controls always travel over the WebSocket; each carries
 * a number, and the server says what became of it.
 */

import { CanvasVideo, HEADER_BYTES, unpackFrame } from './canvas.js';
import { Meter, Recent } from './meter.js';
import { openPicture } from './picture.js';
import { Refused, openSocket } from './socket.js';

export { captureInput } from './input.js';
export { Refused, listWorlds } from './socket.js';

/** How long WebRTC may take to show a first frame, ms. */
const FIRST_FRAME_MS = 5000;
/** How often the control connection's round trip is measured, ms. */
const PING_EVERY = 1000;
/** Controls whose receipt is awaited; a receipt for an older one is reported without its control. */
const UNANSWERED = 512;
/** Largest turn in one `look`, degrees. */
const MAX_LOOK = 3600;

/**
 * @typedef {object} Options
 * @property {string} [url] of the server's WebSocket; this page's server when absent
 * @property {string} [world] name; the server's first one when absent
 * @property {number} [seed] drawn by the server when absent
 * @property {HTMLVideoElement} video shows WebRTC
 * @property {HTMLCanvasElement} canvas shows WebSocket frames
 * @property {'auto' | 'webrtc' | 'websocket'} [transport] 'auto' falls back from the first to the second
 * @property {'realtime' | 'lockstep'} [mode]
 */

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
    await world.open(world.preferred());
  } catch (error) {
    world.close();
    throw error;
  }
  return world;
}

/**
 * One open world. Events, with what `detail` holds:
 * `receipt` {seq, status, frame, control}; `transport` {transport}: pictures flow this way from now on; `stats` the
 * server's figures; `fault` {code, message, seq}: one request was refused; `closed` {code, message, retryable}.
 */
export class World extends EventTarget {
  /** @param {Options} options */
  constructor(options) {
    super();
    this.options = options;
    this.meter = new Meter();
    this.controls = new Recent(UNANSWERED); // seq -> the control that was sent
    this.lastSeq = 0;
    /** @type {import('./socket.js').WorldInfo | null} */
    this.info = null;
    this.session = null;
    this.seed = options.seed ?? null;
    this.transport = 'none';
    this.server = null; // the server's latest `stats`
    this.paused = false;
    this.closed = false;
    this.onVisible = () => document.hidden || this.meter.forget();
    document.addEventListener('visibilitychange', this.onVisible);
  }

  /** Name of the world. */
  get world() {
    return this.info?.name ?? null;
  }

  /** The transport to try first. */
  preferred() {
    const wish = this.options.transport ?? 'auto';
    if (wish === 'auto') return typeof RTCPeerConnection === 'undefined' ? 'websocket' : 'webrtc';
    return wish;
  }

  /** Opens the connection and starts the pictures. Used by `connect` and by the fall-back. */
  async open(transport) {
    const { socket, welcome } = await openSocket(this.options.url, {
      type: 'hello',
      protocol: 1,
      world: this.info?.name ?? this.options.world,
      seed: this.seed ?? undefined,
      video: transport,
      mode: this.options.mode,
    });
    this.socket = socket;
    this.info = welcome.world;
    this.worlds = welcome.worlds;
    this.session = welcome.session;
    this.seed = welcome.seed;
    this.meter.restart();
    socket.onmessage = ({ data }) => (typeof data === 'string' ? this.hear(JSON.parse(data)) : this.see(data));
    socket.onclose = (event) => this.end({ code: this.reason ?? 'connection_lost', message: event.reason || 'the connection to the server was lost', retryable: true });
    this.pinging = setInterval(() => this.ping(), PING_EVERY);
    this.show(transport);
  }

  /** Starts receiving pictures. */
  show(transport) {
    if (transport === 'webrtc') this.deadline = setTimeout(() => this.fallBack('no picture'), FIRST_FRAME_MS);
    this.picture = openPicture(transport, this.options, this.meter, {
      send: (message) => this.post(message),
      onFlowing: () => this.flowing(transport),
      onFailed: (why) => this.fallBack(why),
    });
  }

  flowing(transport) {
    clearTimeout(this.deadline);
    this.transport = transport;
    this.ping();
    this.emit('transport', { transport });
  }

  /** WebRTC does not work here: the same world again, with pictures over the WebSocket. */
  async fallBack(why) {
    clearTimeout(this.deadline);
    if (this.closed || this.transport === 'websocket' || this.falling) return;
    this.falling = true;
    this.hangUp(`falling back to the WebSocket: ${why}`);
    if (this.options.transport === 'webrtc') {
      this.end({ code: 'no_path', message: `WebRTC shows nothing: ${why}`, retryable: true });
      return;
    }
    try {
      await this.open('websocket');
    } catch (error) {
      this.end(error instanceof Refused ? error : { code: 'connection_lost', message: error.message, retryable: true });
    } finally {
      this.falling = false;
    }
    if (this.closed) this.hangUp('closed');
  }

  /** A JSON message arrived. */
  hear(message) {
    switch (message.type) {
      case 'receipt': return this.hearReceipt(message);
      case 'frame':
      case 'answer':
      case 'candidate': return this.picture.hear(message);
      case 'pong': return this.meter.roundTrip(performance.now() - message.t);
      case 'stats':
        this.server = message;
        return this.emit('stats', message);
      case 'error':
        this.failure = message;
        return this.emit('fault', message);
      case 'bye':
        this.reason = 'session_closed';
        return undefined;
      default:
        return undefined; // a later server may say more
    }
  }

  hearReceipt(receipt) {
    const control = this.controls.take(receipt.seq) ?? null;
    this.meter.receipt(receipt);
    if (receipt.status === 'applied' && control?.type === 'reset' && control.seed !== undefined) this.seed = control.seed;
    if (receipt.status !== 'rejected' && (control?.type === 'pause' || control?.type === 'resume')) this.paused = control.type === 'pause';
    this.emit('receipt', { ...receipt, control });
  }

  /** A binary message arrived: a picture. */
  see(data) {
    if (!(this.picture instanceof CanvasVideo)) return;
    const nowMs = performance.now();
    const frame = unpackFrame(data);
    this.meter.arrived(HEADER_BYTES + frame.payload.length, nowMs);
    this.picture.put(frame, nowMs);
  }

  /** A key of the world went down or up. @returns {number} the number that the receipt will name */
  key(code, down, atMs) {
    return this.control({ type: 'key', code, down }, atMs);
  }

  /** The view turned, in degrees: yaw right +, pitch up +. */
  look(yaw, pitch, atMs) {
    const bounded = (degrees) => Math.max(-MAX_LOOK, Math.min(MAX_LOOK, degrees));
    return this.control({ type: 'look', yaw: bounded(yaw), pitch: bounded(pitch) }, atMs);
  }

  /** New values for some axes, by name. @param {Object<string, number>} values */
  axes(values, atMs) {
    return this.control({ type: 'axes', values }, atMs);
  }

  /** A whole action row. @param {number[]} values */
  action(values, atMs) {
    return this.control({ type: 'action', values }, atMs);
  }

  /** Begins the world anew; the same seed when none is given. */
  reset(seed) {
    return this.control({ type: 'reset', seed });
  }

  pause() {
    return this.control({ type: 'pause' });
  }

  resume() {
    return this.control({ type: 'resume' });
  }

  /** Lockstep: makes one chunk. @param {number[][]} [actions] one row a frame */
  step(actions) {
    return this.control({ type: 'step', actions });
  }

  /** Sends one control with the next number. Inputs by hand are timed from `atMs`, when they happened. */
  control(message, atMs = performance.now()) {
    const seq = ++this.lastSeq;
    if (this.post({ ...message, seq })) {
      this.controls.set(seq, message);
      if (['key', 'look', 'axes', 'action'].includes(message.type)) this.meter.input(seq, atMs);
    }
    return seq;
  }

  ping() {
    this.post({ type: 'ping', t: performance.now() });
  }

  /** @returns {boolean} whether it left */
  post(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Figures of this page and the server's latest, in milliseconds and frames a second. */
  stats() {
    return {
      transport: this.transport,
      world: this.world,
      world_fps: this.info ? this.info.fps[0] / this.info.fps[1] : null,
      session: this.session,
      ...this.meter.stats(),
      frames_replaced: this.picture?.dropped ?? 0,
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
    this.closed = true;
    document.removeEventListener('visibilitychange', this.onVisible);
    this.hangUp('closed by the page');
  }

  /** Lets go of the connection without a `closed` event. */
  hangUp(reason) {
    clearInterval(this.pinging);
    clearTimeout(this.deadline);
    this.picture?.close();
    if (!this.socket) return;
    this.socket.onclose = this.socket.onmessage = null;
    this.post({ type: 'bye', reason: reason.slice(0, 200) });
    this.socket.close(1000);
  }

  /** The connection is over, and not by our wish. */
  end(why) {
    if (this.closed) return;
    this.close();
    const { code, message, retryable } = this.failure && why.code === 'session_closed' ? this.failure : why;
    this.emit('closed', { code, message, retryable });
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
