/**
 * When a picture that was handed to the compositor is seen: at the display's first beat after it was drawn.
 *
 * `expectedDisplayTime` does not say it for pictures that are shown as they come: Chromium gives them the deadline of
 * an earlier beat, up to a frame too early or too late (crbug.com/1050755). Its own traces say that such a picture is
 * drawn at once (`tests/browser/test_display.py`, docs/design.md). Times are ms of `performance.now()`. Knows no session.
 */

/** What the compositor takes to draw a picture, ms: Chromium without a GPU. */
export const DRAWING = 4;
/** Beats that one measurement looks at. */
const BEATS = 32;
/** Browsers round their times by up to this much, as a part of a beat. */
const ROUNDED = 0.02;

export class Display {
  constructor() {
    /** Between two beats, ms; 60 Hz until it was measured. */
    this.periodMs = 1000 / 60;
  }

  /** Look at some beats: it may be another display. Resolves when that is done; a hidden page has none. */
  async measure() {
    /** @type {number[]} */
    const gaps = [];
    let before = await beat();
    while (gaps.length < BEATS) {
      const now = await beat();
      gaps.push(now - before);
      before = now;
    }
    const middle = gaps.sort((a, b) => a - b)[BEATS >> 1];
    const steady = gaps.filter((gap) => Math.abs(gap - middle) < middle / 4); // none that was left out
    if (middle > 0) this.periodMs = steady.reduce((sum, gap) => sum + gap, 0) / steady.length;
  }

  /**
   * The beat at which a picture is seen.
   * @param {number} drawnMs when it was handed to the compositor @param {number} beatMs any beat near it
   */
  seen(drawnMs, beatMs) {
    return beatMs + this.periodMs * Math.ceil((drawnMs + DRAWING - beatMs) / this.periodMs - ROUNDED);
  }
}

/** The time of the next beat. @returns {Promise<number>} */
function beat() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}
