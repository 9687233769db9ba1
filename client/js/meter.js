/**
 * How long a press takes to become light, and how the stream runs: sliding windows over what this page itself saw.
 *
 * A sample of input-to-photon joins three facts by number: when the input happened (this page), which frame it shaped
 * (the server's receipt and the frame's metadata), and when that frame was presented (this page again). Both ends are read from one
 * clock, so no clock needs to be synchronised. An input whose frame was never presented counts until the next one that was.
 *
 * Knows nothing of sockets, keys or elements; times are milliseconds of `performance.now()`.
 */

/** Inputs that wait for their frame, and frames whose metadata waits for the picture: more are dropped, oldest first. */
const PENDING = 512;

/**
 * @typedef {object} FrameMeta what the server says about a frame
 * @property {number} index
 * @property {number} applied last input that shaped it, 0 for none
 * @property {number} [wait] ms from the arrival of that input to the sampling of the controls
 * @property {number} compute ms that the model took
 * @property {number} encode ms that the encoder took
 */

/** Percentile of a list by rank, or null where there is none. */
export function percentile(values, q) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))];
}

/** Numbers with their time; forgets what is older than the window. */
class Window {
  constructor(spanMs, capacity) {
    this.spanMs = spanMs;
    this.capacity = capacity;
    this.items = [];
  }

  add(atMs, value) {
    this.items.push({ atMs, value });
    if (this.items.length > this.capacity) this.items.shift();
  }

  values(nowMs) {
    while (this.items.length && this.items[0].atMs < nowMs - this.spanMs) this.items.shift();
    return this.items.map((item) => item.value);
  }

  clear() {
    this.items.length = 0;
  }
}

/** A map that keeps the newest `limit` entries. */
class Recent extends Map {
  constructor(limit) {
    super();
    this.limit = limit;
  }

  set(key, value) {
    super.set(key, value);
    if (this.size > this.limit) this.delete(this.keys().next().value);
    return this;
  }
}

export class Meter {
  /** @param {{latencyMs?: number, rateMs?: number}} [windows] spans of the sliding windows */
  constructor({ latencyMs = 30000, rateMs = 5000 } = {}) {
    this.sent = new Recent(PENDING); // seq -> when the input happened
    this.awaited = new Recent(PENDING); // seq -> {atMs, frame}: applied, its frame not presented yet
    this.metas = new Recent(PENDING); // frame index -> FrameMeta
    this.latency = new Window(latencyMs, 4096);
    this.presented = new Window(rateMs, 1024);
    this.received = new Window(rateMs, 4096);
    this.rateMs = rateMs;
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
    this.bytes = 0;
  }

  /** An input left for the server; `atMs` is when it happened. */
  input(seq, atMs) {
    this.sent.set(seq, atMs);
  }

  /** The server's answer to an input. */
  receipt({ seq, status, frame }) {
    const atMs = this.sent.get(seq);
    this.sent.delete(seq);
    if (atMs !== undefined && status === 'applied' && frame !== undefined && frame !== null) this.awaited.set(seq, { atMs, frame });
  }

  /** The server's metadata of a frame. @param {FrameMeta} meta */
  frame(meta) {
    this.metas.set(meta.index, meta);
  }

  /** Payload bytes of video that arrived. */
  arrived(bytes, atMs) {
    this.bytes += bytes;
    this.received.add(atMs, bytes);
  }

  /** A frame was presented, or is about to be, at `atMs`. */
  shown(index, atMs) {
    if (this.lastIndex !== null && index <= this.lastIndex) return;
    if (this.lastIndex !== null) this.framesSkipped += index - this.lastIndex - 1;
    this.lastIndex = index;
    this.framesShown += 1;
    this.presented.add(atMs, index);
    for (const [seq, { atMs: inputMs, frame }] of this.awaited) {
      if (frame > index) continue;
      this.awaited.delete(seq);
      this.latency.add(atMs, this.sample(atMs - inputMs, this.metas.get(frame)));
    }
    for (const known of this.metas.keys()) {
      if (known < index - PENDING / 2) this.metas.delete(known);
    }
  }

  /** One input-to-photon time and its parts; what the server did not account for is network and display. */
  sample(total, meta) {
    const wait = meta?.wait ?? 0;
    const compute = meta?.compute ?? 0;
    const encode = meta?.encode ?? 0;
    return { total, wait, compute, encode, network: Math.max(0, total - wait - compute - encode) };
  }

  /** All figures, ready for a HUD or for JSON. */
  stats() {
    const nowMs = performance.now();
    const samples = this.latency.values(nowMs);
    const part = (name) => percentile(samples.map((sample) => sample[name]), 0.5);
    const heardMs = Math.max(1, Math.min(this.rateMs, nowMs - this.sinceMs));
    const bits = this.received.values(nowMs).reduce((sum, bytes) => sum + bytes, 0) * 8;
    return {
      fps_shown: (this.presented.values(nowMs).length * 1000) / heardMs,
      frames_shown: this.framesShown,
      frames_skipped: this.framesSkipped,
      measured_s: (nowMs - this.sinceMs) / 1000,
      bitrate_kbps: bits / heardMs,
      input_to_photon_ms: { p50: part('total'), p95: percentile(samples.map((s) => s.total), 0.95), count: samples.length },
      parts_ms: { wait: part('wait'), compute: part('compute'), encode: part('encode'), network_display: part('network') },
    };
  }
}
