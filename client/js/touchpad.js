/**
 * An element of the page as a stick for a finger: its middle is rest, its edge the end of the way.
 *
 *     captureTouchPad(world, element, { keys: ['KeyD', 'KeyA', 'KeyS', 'KeyW'] });
 *
 * Knows pointers; what a stick does is in `sticks.js`. Give the element `touch-action: none`, or the page scrolls.
 */

import { StickDriver, between, defaultSticks } from './sticks.js';

/**
 * Listens to one element on behalf of a world.
 *
 * @param {import('./sticks.js').Driven & import('./sticks.js').Keys} world
 * @param {HTMLElement} element
 * @param {import('./sticks.js').Stick} [stick] what it does; as the left stick of a gamepad when absent
 * @param {import('./sticks.js').Keys} [keys] a `Capture`, where there is one
 * @returns {{stop: () => void}}
 */
export function captureTouchPad(world, element, stick = defaultSticks(world.info).left, keys = world) {
  const driver = new StickDriver(world, keys, stick);
  const listening = new AbortController();
  const { signal } = listening;
  /** @type {{id: number, x: number, y: number} | null} */
  let finger = null;
  let request = 0;
  let lastMs = 0;

  const place = (/** @type {PointerEvent} */ event) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    const share = (/** @type {number} */ at, /** @type {number} */ size) => Math.max(-1, Math.min(1, (2 * at) / size - 1));
    finger = { id: event.pointerId, x: share(event.clientX - left, width), y: -share(event.clientY - top, height) };
  };
  const drive = (/** @type {number} */ nowMs) => {
    if (!finger) return;
    driver.move(finger.x, finger.y, between(lastMs, nowMs), nowMs);
    lastMs = nowMs;
    request = requestAnimationFrame(drive);
  };
  const letGo = () => {
    finger = null;
    cancelAnimationFrame(request);
    driver.rest();
  };

  element.addEventListener('pointerdown', (event) => {
    if (finger) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    place(event);
    lastMs = performance.now();
    request = requestAnimationFrame(drive);
  }, { signal });
  element.addEventListener('pointermove', (event) => finger?.id === event.pointerId && place(event), { signal });
  for (const type of /** @type {const} */ (['pointerup', 'pointercancel', 'lostpointercapture'])) {
    element.addEventListener(type, (event) => finger?.id === event.pointerId && letGo(), { signal });
  }
  document.addEventListener('visibilitychange', () => document.hidden && letGo(), { signal });
  return {
    stop() {
      listening.abort();
      letGo();
    },
  };
}
