/**
 * A walk that was taken: as text that fits into a link, and the hand that takes it again.
 *
 *     const text = await packWalk(await world.walk());
 *     const walk = await unpackWalk(text);                                    // somewhere else
 *     const again = await connect({ ...walk, mode: 'lockstep', video, canvas });
 *     new Replay(again, walk.rows).play();
 *
 * A world makes the same frames from the same seed under the same rows, so a link needs no picture. Knows the rows and a
 * world's clock; no page.
 */

import { Refused } from './refused.js';

/** Bytes of rows that a text may unfold to: it may come from anybody. */
const UNPACKED = 2 ** 20;
/** Characters of a text, as many as chat programs and browsers carry in a link. */
export const LONGEST = 32768;
const VERSION = 1;

/**
 * @typedef {object} Walk
 * @property {string} world
 * @property {number} seed
 * @property {string | null} [prompt]
 * @property {boolean} [image] it began from a picture that somebody brought, which no link can hold
 * @property {boolean} [reduced] parts were made in fewer denoising steps than a replay takes
 * @property {number[][]} rows one a frame
 */
/** @typedef {{step: (rows?: number[][]) => Promise<unknown>, info: import('./protocol.js').WorldInfo}} Stepped a world in lockstep */

/** A walk as text, of letters that a link may hold. @param {Walk} walk @returns {Promise<string>} @throws {Refused} */
export async function packWalk({ world, seed, prompt, image, rows }) {
  if (image) throw new Refused('unsupported', 'this walk began from a picture, which a link cannot hold', false);
  const columns = rows[0]?.length ?? 0;
  const head = JSON.stringify({ v: VERSION, world, seed, ...(prompt && { prompt }), columns });
  const byColumn = new Float32Array(rows.length * columns); // alike numbers side by side take least
  rows.forEach((row, frame) => row.forEach((value, column) => (byColumn[column * rows.length + frame] = value)));
  const packed = await through(new CompressionStream('deflate-raw'), [new TextEncoder().encode(`${head}\n`), new Uint8Array(byColumn.buffer)]);
  const text = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(''));
  const safe = text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  if (safe.length > LONGEST) throw new Refused('unsupported', `this walk of ${rows.length} frames is too long for a link`, false);
  return safe;
}

/** The walk of a text. @param {string} text @returns {Promise<Walk>} @throws {Refused} it is damaged, or none of ours */
export async function unpackWalk(text) {
  try {
    if (text.length > LONGEST) throw new RangeError('too long');
    const raw = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
    const bytes = await through(new DecompressionStream('deflate-raw'), [raw]);
    const end = bytes.indexOf(10);
    const { v, world, seed, prompt, columns } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
    const body = bytes.slice(end + 1);
    const frames = body.length / 4 / columns;
    if (v !== VERSION || typeof world !== 'string' || !Number.isSafeInteger(seed) || !Number.isInteger(frames)) throw new TypeError('not ours');
    const byColumn = new Float32Array(body.buffer);
    const rows = Array.from({ length: frames }, (_, frame) => Array.from({ length: columns }, (__, column) => byColumn[column * frames + frame]));
    return { world, seed, prompt, rows };
  } catch {
    throw new Refused('bad_walk', 'this link holds no walk, or a part of it was lost', false);
  }
}

/** Takes the rows of a walk, one chunk after the other at the world's rate, and then goes on with what is held. */
export class Replay {
  /**
   * @param {Stepped} world @param {number[][]} rows
   * @param {{onEnd?: (whole: boolean) => void}} [calls] `onEnd`: the rows are spent, or it broke off; whoever drives goes on
   */
  constructor(world, rows, { onEnd = () => {} } = {}) {
    this.world = world;
    this.rows = rows;
    this.onEnd = onEnd;
    this.taken = 0; // frames of it
    this.paused = true;
    this.stopped = false;
    this.busy = false; // a step is on its way
    this.dueMs = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Whether rows of the walk are left. */
  get replaying() {
    return this.taken < this.rows.length;
  }

  play() {
    if (!this.paused || this.stopped) return;
    this.paused = false;
    this.dueMs = performance.now();
    this.wait();
  }

  pause() {
    this.paused = true;
    clearTimeout(this.timer);
  }

  /** One chunk, now. */
  async step() {
    if (this.busy || this.stopped) return;
    const { chunk } = this.world.info;
    const rows = this.rows.slice(this.taken, this.taken + chunk);
    const replaying = rows.length === chunk;
    this.busy = true;
    try {
      await this.world.step(replaying ? rows : undefined);
      this.taken += replaying ? chunk : 0;
      if (replaying && this.taken + chunk > this.rows.length) this.end(true);
    } catch {
      if (replaying) this.end(false);
    } finally {
      this.busy = false;
    }
  }

  stop() {
    this.stopped = true;
    this.pause();
  }

  /** @param {boolean} whole */
  end(whole) {
    this.rows = [];
    this.taken = 0;
    if (!this.stopped) this.onEnd(whole);
  }

  /** Until the next chunk is due. One that is late moves those after it; there is never a burst. */
  wait() {
    const [frames, seconds] = this.world.info.fps;
    this.timer = setTimeout(async () => {
      await this.step();
      if (this.paused) return;
      this.dueMs = Math.max(this.dueMs + (1000 * this.world.info.chunk * seconds) / frames, performance.now() - 1);
      this.wait();
    }, Math.max(0, this.dueMs - performance.now()));
  }
}

/**
 * Bytes through a stream that changes them; no more than a walk may have.
 * @param {CompressionStream | DecompressionStream} stream @param {Uint8Array<ArrayBuffer>[]} parts
 */
async function through(stream, parts) {
  const reader = new Blob(parts).stream().pipeThrough(stream).getReader();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const out = [];
  let size = 0;
  for (let { done, value } = await reader.read(); !done && value; { done, value } = await reader.read()) {
    size += value.length;
    if (size > UNPACKED + LONGEST) {
      await reader.cancel();
      throw new RangeError('too much');
    }
    out.push(value);
  }
  return new Uint8Array(await new Blob(out).arrayBuffer());
}
