/**
 * How long a press takes to become light, and how the stream runs: sliding windows over what this page itself saw.
 *
 * A sample of input-to-photon joins three facts by number: when the input happened (this page), which frame it shaped
 * (the server's receipt and the frame's metadata), and when that frame was presented (this page again). Both ends are read from one
 * clock, so no clock needs to be synchronised. An input whose frame was never presented counts until the next one that was.
 *
 * Knows nothing of sockets, keys or elements; times are milliseconds of `performance.now()`.
 */

/** Inputs that wait for their receipt or their frame; more are dropped, oldest first. */
const PENDING = 512;
/** Presented frames that a receipt may still refer to. */
const REMEMBERED = 64;
/** Samples that wait to be told to the server; more are dropped, oldest first. */
const UNREPORTED = 64;
/** Round trips of the control connection that the figure is the median of. */
const ROUND_TRIPS = 9;

/**
 * @typedef {object} Shown a frame that was presented
 * @property {number | null} index its number, null where the browser does not tell which frame it was
 * @property {number} count frames presented since the report before, this one included
 * @property {number} receivedMs when the last of its bytes arrived
 * @property {number} shownMs when it was seen, by the display's beat
 * @property {number} [drawnMs] when it was handed to the compositor
 * @property {number} [compute] ms that the world took for its chunk
 * @property {number} [age] ms from sampling the controls to sending
 */

/** @typedef {'total' | 'wait' | 'compute' | 'encode' | 'network' | 'display'} Part */
/** @typedef {Record<Part, number>} Sample ms of one input's way to the screen */

/** @type {Part[]} */
const PARTS = ['wait', 'compute', 'encode', 'network', 'display'];

/** Percentile of a list by rank, or null where there is none. @param {number[]} values @param {number} q from 0 to 1 */
export function percentile(values, q) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
}

/** Numbers with their time; forgets what is older than the window. @template T */
class Window {
  /** @param {number} spanMs @param {number} capacity */
  constructor(spanMs, capacity) {
    this.spanMs = spanMs;
    this.capacity = capacity;
    /** @type {{atMs: number, value: T}[]} */
    this.items = [];
  }

  /** @param {number} atMs @param {T} value */
  add(atMs, value) {
    this.items.push({ atMs, value });
    if (this.items.length > this.capacity) this.items.shift();
  }

  /** @param {number} nowMs */
  values(nowMs) {
    while (this.items.length && this.items[0].atMs < nowMs - this.spanMs) this.items.shift();
    return this.items.map((item) => item.value);
  }

  clear() {
    this.items.length = 0;
  }
}

/** A map that keeps the newest `limit` entries. @template K, V @extends {Map<K, V>} */
export class Recent extends Map {
  /** @param {number} limit */
  constructor(limit) {
    super();
    this.limit = limit;
  }

  /** @override @param {K} key @param {V} value */
  set(key, value) {
    super.set(key, value);
    const [oldest] = this.keys();
    if (this.size > this.limit) this.delete(oldest);
    return this;
  }

  /** The value of a key, which is removed. @param {K} key */
  take(key) {
    const value = this.get(key);
    this.delete(key);
    return value;
  }
}

export class Meter {
  /** @param {{latencyMs?: number, rateMs?: number}} [windows] spans of the sliding windows */
  constructor({ latencyMs = 30000, rateMs = 5000 } = {}) {
    /** @type {Recent<number, number>} */
    this.sent = new Recent(PENDING); // seq -> when the input happened
    /** @type {Recent<number, {atMs: number, frame: number}>} */
    this.awaited = new Recent(PENDING); // seq -> {atMs, frame}: applied, its frame not presented yet
    /** @type {(Shown & {index: number})[]} */
    this.log = []; // the latest Shown with a number, oldest first: a receipt may come after its picture
    /** @type {Sample[]} */
    this.unreported = []; // samples that the server has not been told of
    /** @type {number[]} */
    this.roundTrips = []; // ms, of the control connection, the latest
    /** @type {Window<Sample>} */
    this.latency = new Window(latencyMs, 4096);
    /** @type {Window<number>} */
    this.presented = new Window(rateMs, 1024);
    /** @type {Window<number>} */
    this.received = new Window(rateMs, 4096);
    this.rateMs = rateMs;
    this.sinceMs = 0; // when the counts began
    /** @type {number | null} */
    this.lastIndex = null; // of the frame that was presented last
    this.framesShown = 0;
    this.framesSkipped = 0;
    this.clear();
  }

  /** Starts every count and window afresh; inputs under way stay. */
  clear() {
    this.latency.clear();
    this.presented.clear();
    this.received.clear();
    this.sinceMs = performance.now();
    this.lastIndex = null;
    this.framesShown = 0;
    this.framesSkipped = 0;
  }

  /** Nobody watched for a while (a hidden tab shows no frames): inputs under way measure nothing, nor does the gap. */
  forget() {
    this.sent.clear();
    this.awaited.clear();
    this.log.length = 0;
    this.lastIndex = null;
  }

  /** Another session: its frames are numbered from the start again. */
  restart() {
    this.forget();
    this.clear();
  }

  /** An input left for the server; `atMs` is when it happened. @param {number} seq @param {number} atMs */
  input(seq, atMs) {
    this.sent.set(seq, atMs);
  }

  /** The server's answer to an input. @param {import('./protocol.js').ReceiptMessage} receipt */
  receipt({ seq, status, frame }) {
    const atMs = this.sent.take(seq);
    if (atMs === undefined || status !== 'applied' || frame === undefined) return;
    const shown = this.log.find((one) => one.index >= frame);
    if (shown) this.latency.add(shown.shownMs, this.sample(shown.shownMs - atMs, shown));
    else this.awaited.set(seq, { atMs, frame });
  }

  /** The control connection answered after so many ms. @param {number} ms */
  roundTrip(ms) {
    this.roundTrips.push(ms);
    if (this.roundTrips.length > ROUND_TRIPS) this.roundTrips.shift();
  }

  /** Median round trip of the control connection, ms. */
  get rtt() {
    return percentile(this.roundTrips, 0.5);
  }

  /** Payload bytes of video that arrived. @param {number} bytes @param {number} atMs */
  arrived(bytes, atMs) {
    this.received.add(atMs, bytes);
  }

  /** A frame was presented. @param {Shown} shown */
  shown(shown) {
    const { index, count, shownMs } = shown;
    if (this.framesShown === 0) this.sinceMs = shownMs; // rates run from the first picture, which has no period before it
    else this.presented.add(shownMs, count);
    this.framesShown += count;
    if (index === null) return;
    if (this.lastIndex !== null) this.framesSkipped += Math.max(0, index - this.lastIndex - count);
    this.lastIndex = index;
    this.log.push({ ...shown, index });
    if (this.log.length > REMEMBERED) this.log.shift();
    for (const [seq, { atMs, frame }] of this.awaited) {
      if (frame > index) continue;
      this.awaited.delete(seq);
      this.latency.add(shownMs, this.sample(shownMs - atMs, shown));
    }
  }

  /**
   * One input-to-photon time and its parts. `network` has the control's way there, the picture's way back, the jitter
   * buffer and the decoder. What the others do not explain, the input spent waiting to be sampled.
   * @param {number} total @param {Shown} shown @returns {Sample}
   */
  sample(total, { compute = 0, age = 0, receivedMs, drawnMs, shownMs }) {
    const display = Math.max(0, shownMs - (drawnMs ?? shownMs));
    const network = (this.rtt ?? 0) + Math.max(0, shownMs - display - receivedMs);
    const encode = Math.max(0, age - compute);
    const sample = { total, compute, encode, network, display, wait: Math.max(0, total - compute - encode - network - display) };
    this.unreported.push(sample);
    if (this.unreported.length > UNREPORTED) this.unreported.shift();
    return sample;
  }

  /** Samples since the call before, for the server's figures. */
  takeReport() {
    return this.unreported.splice(0);
  }

  /** All figures, ready for a HUD or for JSON. */
  stats() {
    const nowMs = performance.now();
    const samples = this.latency.values(nowMs);
    const part = (/** @type {Part} */ name) => percentile(samples.map((sample) => sample[name]), 0.5);
    const heardMs = Math.max(1, Math.min(this.rateMs, nowMs - this.sinceMs));
    const bits = this.received.values(nowMs).reduce((sum, bytes) => sum + bytes, 0) * 8;
    return {
      fps_shown: (this.presented.values(nowMs).reduce((sum, count) => sum + count, 0) * 1000) / heardMs,
      frames_shown: this.framesShown,
      frames_skipped: this.framesSkipped,
      measured_s: (nowMs - this.sinceMs) / 1000,
      bitrate_kbps: bits / heardMs,
      input_to_photon_ms: { p50: part('total'), p95: percentile(samples.map((s) => s.total), 0.95), count: samples.length },
      parts_ms: /** @type {Record<Part, number | null>} */ (Object.fromEntries(PARTS.map((name) => [name, part(name)]))),
    };
  }
}
