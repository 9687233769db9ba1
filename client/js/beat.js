/**
 * Where in the display's beat pictures come, and by how much they should come later to come just in time.
 *
 * Where a world's rate divides the display's, all pictures of a visit wait alike for the next beat, for up to a beat;
 * and where they come right at the beat, some miss it, and motion stutters. One shift of the schedule mends both. Rates
 * that do not divide meet every part of the beat in turn, and are left alone. Knows times in ms; no session, no server.
 */

/** Pictures that one look is taken at. */
export const WINDOW = 60;
/** Pictures under way that still come as before a shift. */
export const UNDER_WAY = 10;
/** Pictures of a look that may miss their beat. */
const LATE = 1;
/** Least distance that is kept from the beat, ms. */
const MARGIN = 3.5;
/** Nearer than this is near enough, ms; and later on, for a busy moment is no reason to move the schedule again. */
const NEAR = 2;
const SETTLED = 5;
/** How much alike pictures come, from 0 (all over the beat) to 1 (always the same): below this no shift helps. */
const ALIKE = 0.5;

/** @typedef {(ms: number) => Promise<{status: string}> | void} Ask for a schedule that is later by so much */

export class Beat {
  /** @param {Ask} ask */
  constructor(ask) {
    this.ask = ask;
    /** @type {number[]} */
    this.spares = []; // ms before the beat, of the pictures of this look
    this.skip = 0; // pictures that do not count
    this.near = NEAR; // ms, as near as is enough
    this.refused = false; // the schedule is not ours to move
  }

  /** Another session, or another way of pictures: begin anew. */
  restart() {
    this.refused = false;
    this.near = NEAR;
    this.look();
  }

  /** @param {number} [skip] pictures that do not count */
  look(skip = 0) {
    this.skip = skip;
    this.spares = [];
  }

  /** A picture came so many ms before the beat that shows it. @param {number} spareMs @param {number} periodMs of the beat */
  shown(spareMs, periodMs) {
    if (this.skip > 0) {
      this.skip -= 1;
      return;
    }
    this.spares.push(spareMs);
    if (this.spares.length < WINDOW) return;
    const later = laterBy(this.spares, periodMs, this.near);
    this.near = SETTLED;
    this.look(later > 0 ? UNDER_WAY : 0);
    if (later > 0 && !this.refused) this.shift(later);
  }

  /** @param {number} ms */
  async shift(ms) {
    try {
      const receipt = await this.ask(ms);
      if (receipt?.status === 'rejected') this.refused = true;
    } catch {
      this.refused = true;
    }
  }
}

/**
 * By how much pictures should come later; 0 where they come well, or no shift helps.
 * @param {number[]} spares @param {number} period @param {number} near enough
 */
function laterBy(spares, period, near) {
  const turns = spares.map((spare) => (2 * Math.PI * spare) / period); // a beat is a circle: just before is near just after
  const x = turns.reduce((sum, turn) => sum + Math.cos(turn), 0) / turns.length;
  const y = turns.reduce((sum, turn) => sum + Math.sin(turn), 0) / turns.length;
  if (Math.hypot(x, y) < ALIKE) return 0;
  const middle = (Math.atan2(y, x) * period) / (2 * Math.PI);
  const late = spares.map((spare) => wrapped(middle - spare, period)).sort((a, b) => b - a)[LATE];
  const margin = Math.min(period / 2, Math.max(MARGIN, late + 0.5));
  const later = wrapped(middle - margin, period);
  return Math.abs(later) < near ? 0 : (later + period) % period;
}

/** The same within half a period of 0. @param {number} ms @param {number} period */
function wrapped(ms, period) {
  return ms - period * Math.round(ms / period);
}
