/**
 * Keys that several hands may hold: a key goes down with the first hand on it and comes up with the last.
 *
 * Knows neither keyboards nor pads: each of them, and each stick, is a hand.
 */

/**
 * @typedef {object} Keys
 * @property {(code: string, atMs?: number) => void} press
 * @property {(code: string, atMs?: number) => void} release
 * @property {() => Keys} [hand] another hand on the same keys, where hands are told apart
 */
/** @typedef {Required<Keys> & {releaseAll: () => void, held: () => Set<string>}} Hands is a hand itself, too */

/**
 * Keys for several hands. Pressing what a hand holds, and letting go of what it does not hold, does nothing.
 *
 * @param {Keys} keys what goes down and up
 * @param {(code: string) => boolean} knows which codes there are; every one when absent
 * @returns {Hands}
 */
export function shared(keys, knows = () => true) {
  const own = keys.hand?.() ?? keys;
  /** @type {Map<string, Set<object>>} by code: the hands on it, one at least */
  const holders = new Map();

  const hand = () => {
    const me = {};
    return {
      hand,
      press(/** @type {string} */ code, /** @type {number | undefined} */ atMs) {
        if (!knows(code)) return;
        const on = holders.get(code);
        holders.set(code, new Set(on).add(me));
        if (!on) own.press(code, atMs);
      },
      release(/** @type {string} */ code, /** @type {number | undefined} */ atMs) {
        const on = holders.get(code);
        if (!on?.delete(me) || on.size > 0) return;
        holders.delete(code);
        own.release(code, atMs);
      },
    };
  };
  const releaseAll = () => {
    for (const code of [...holders.keys()]) {
      holders.delete(code);
      own.release(code);
    }
  };
  return { ...hand(), releaseAll, held: () => new Set(holders.keys()) };
}
