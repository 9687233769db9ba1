/**
 * A gamepad -> controls of a world, by the browser's Gamepad API: sticks, the cross and the buttons, looked at once an
 * animation frame while one is plugged in. A hidden page, or one without a pad, lets go of everything.
 *
 * Knows buttons and sticks by their numbers in the standard layout; what they do is in `sticks.js`.
 */

import { shared } from './hands.js';
import { StickDriver, between, defaultSticks } from './sticks.js';

/** The cross in the standard layout: right, left, down, up. */
const CROSS = [15, 14, 13, 12];
/** The buttons that keys are given to, in order: the four of the right hand, then the shoulders. */
const BUTTONS = [0, 1, 2, 3, 4, 5, 6, 7];

/**
 * Listens to gamepads on behalf of a world.
 *
 * @param {import('./sticks.js').Driven} world
 * @param {import('./sticks.js').Keys} keys a `Capture`, or the world itself
 * @param {Partial<import('./sticks.js').Sticks>} [sticks] in place of `defaultSticks`
 * @returns {{stop: () => void}}
 */
export function captureGamepad(world, keys, sticks = {}) {
  const { left, right, pad, buttons } = { ...defaultSticks(world.info), ...sticks };
  const hands = shared(keys); // the stick and the cross may hold the same key
  const drivers = [left, right, pad].map((stick) => new StickDriver(world, hands, stick));
  const fingers = buttons.map(() => hands.hand());
  const listening = new AbortController();
  let request = 0;
  let lastMs = 0;

  const letGo = () => {
    drivers.forEach((driver) => driver.rest());
    hands.releaseAll();
  };
  const look = (/** @type {number} */ nowMs) => {
    request = 0;
    const found = plugged();
    if (!found) return letGo();
    const seconds = between(lastMs, nowMs);
    lastMs = nowMs;
    const [x = 0, y = 0, u = 0, v = 0] = found.axes;
    const [east, west, south, north] = CROSS.map((number) => Number(found.buttons[number]?.pressed ?? false));
    drivers[0].move(x, -y, seconds, nowMs);
    drivers[1].move(u, -v, seconds, nowMs);
    drivers[2].move(east - west, north - south, seconds, nowMs);
    BUTTONS.slice(0, buttons.length).forEach((number, place) => {
      if (found.buttons[number]?.pressed) fingers[place].press(buttons[place], nowMs);
      else fingers[place].release(buttons[place], nowMs);
    });
    return wake();
  };
  const wake = () => {
    if (request === 0 && !listening.signal.aborted) request = requestAnimationFrame(look);
  };

  window.addEventListener('gamepadconnected', wake, { signal: listening.signal });
  document.addEventListener('visibilitychange', () => document.hidden && letGo(), { signal: listening.signal });
  if (plugged()) wake();
  return {
    stop() {
      listening.abort();
      cancelAnimationFrame(request);
      letGo();
    },
  };
}

/** The first gamepad that is plugged in. A page may be forbidden to look. @returns {Gamepad | null} */
function plugged() {
  try {
    return [...(navigator.getGamepads?.() ?? [])].find((one) => one?.connected) ?? null;
  } catch {
    return null;
  }
}
