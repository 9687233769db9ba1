/**
 * Keyboard, mouse, touch and gamepad -> control messages, for one element of the page.
 *
 * Keys travel as `KeyboardEvent.code`, so a layout keeps its places and not its letters. Mouse movement becomes degrees,
 * summed over an animation frame and sent once. Whatever makes the page stop hearing keys (blur, a hidden tab, the end
 * of a capture) releases every key first, because a key that is never released would walk for ever.
 *
 * Knows nothing of video or sockets: it calls `key`, `look` and `axes`, and reads `info`, of the world that it is given.
 */

import { captureGamepad } from './gamepad.js';
import { shared } from './hands.js';

/** Degrees of view for one pixel of mouse movement. */
const DEGREES_PER_PIXEL = 0.18;
/** Degrees of view for one pixel of a finger's drag: a finger has less room than a mouse. */
const DEGREES_PER_TOUCH_PIXEL = 0.35;

/**
 * @typedef {object} Capture
 * @property {(code: string, atMs?: number) => void} press hold a key, as if it went down on the keyboard
 * @property {(code: string, atMs?: number) => void} release the key comes up once no other hand holds it
 * @property {() => import('./hands.js').Keys} hand another hand on the same keys
 * @property {() => void} releaseAll
 * @property {() => Set<string>} held codes that are down now
 * @property {() => void} stop let go of everything and stop listening
 */

/**
 * @typedef {object} Options
 * @property {(held: Set<string>) => void} [onHeld] keys went down or up
 * @property {(captured: boolean) => void} [onCapture] the element has the keyboard, or lost it
 * @property {boolean} [gamepad] listen to one too, as is done when absent
 * @property {Partial<import('./sticks.js').Sticks>} [sticks] what its sticks do
 */
/** @typedef {(target: EventTarget, type: string, listener: (event: any) => unknown) => void} Listen */
/** @typedef {{add: (right: number, down: number, degrees: number, atMs: number) => void, stop: () => void}} Turn */

/**
 * Listens to `element` on behalf of a world.
 *
 * @param {import('./worldloom.js').World} world
 * @param {HTMLElement} element must be focusable; clicking it captures the keyboard and, where the world looks around, the mouse
 * @param {Options} [options]
 * @returns {Capture}
 */
export function captureInput(world, element, options = {}) {
  const bound = new Set(Object.keys(world.info.actions.keys));
  const looks = world.info.actions.look.some((axis) => axis !== null);
  const listening = new AbortController();
  /** @type {Listen} */
  const on = (target, type, listener) => target.addEventListener(type, listener, { signal: listening.signal });

  const tell = (/** @type {string} */ code, /** @type {boolean} */ down, /** @type {number | undefined} */ atMs) => {
    world.key(code, down, atMs);
    options.onHeld?.(hands.held());
  };
  const hands = shared({
    press: (code, atMs) => tell(code, true, atMs),
    release: (code, atMs) => tell(code, false, atMs),
  }, (code) => bound.has(code));
  const { releaseAll } = hands;
  const keyboard = hands.hand();

  on(element, 'keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !bound.has(event.code)) return;
    event.preventDefault();
    if (!event.repeat) keyboard.press(event.code, event.timeStamp);
  });
  // Released anywhere, because the key may come up after the focus has moved on.
  on(window, 'keyup', (event) => keyboard.release(event.code, event.timeStamp));
  on(window, 'blur', releaseAll);
  on(document, 'visibilitychange', () => document.hidden && releaseAll());
  on(element, 'focus', () => options.onCapture?.(true));
  on(element, 'blur', () => {
    releaseAll();
    options.onCapture?.(false);
  });

  const turn = summedLook(world);
  if (looks) {
    on(element, 'click', () => lockPointer(element));
    on(document, 'pointerlockchange', () => {
      if (document.pointerLockElement !== element) releaseAll();
    });
    on(document, 'mousemove', (event) => {
      if (document.pointerLockElement === element) turn.add(event.movementX, event.movementY, DEGREES_PER_PIXEL, event.timeStamp);
    });
    listenToDrags(element, on, turn);
  }

  const pad = options.gamepad === false ? null : captureGamepad(world, hands, options.sticks);

  return {
    ...hands,
    stop() {
      pad?.stop();
      releaseAll();
      turn.stop();
      listening.abort();
      if (document.pointerLockElement === element) document.exitPointerLock();
    },
  };
}

/**
 * Raw mouse movement where the browser has it, accelerated movement otherwise, dragging where locking is refused.
 * @param {HTMLElement} element
 */
async function lockPointer(element) {
  if (!element.requestPointerLock || document.pointerLockElement === element) return;
  try {
    await element.requestPointerLock({ unadjustedMovement: true });
  } catch (error) {
    if (/** @type {Error} */ (error).name !== 'NotSupportedError') return; // refused, or left again at once: dragging still looks around
    await Promise.resolve(element.requestPointerLock()).catch(() => {});
  }
}

/**
 * Looking around with a finger, or with a pressed mouse button where the pointer is not locked.
 * @param {HTMLElement} element @param {Listen} on @param {Turn} turn
 */
function listenToDrags(element, on, turn) {
  /** @type {{id: number, x: number, y: number} | null} */
  let last = null;
  on(element, 'pointerdown', (event) => {
    if (!event.isPrimary || event.target.closest('button')) return;
    last = { id: event.pointerId, x: event.clientX, y: event.clientY };
  });
  on(window, 'pointermove', (event) => {
    if (last === null || last.id !== event.pointerId || document.pointerLockElement) return;
    const scale = event.pointerType === 'mouse' ? DEGREES_PER_PIXEL : DEGREES_PER_TOUCH_PIXEL;
    turn.add(event.clientX - last.x, event.clientY - last.y, scale, event.timeStamp);
    last = { id: event.pointerId, x: event.clientX, y: event.clientY };
  });
  for (const type of ['pointerup', 'pointercancel']) {
    on(window, type, (event) => {
      if (last?.id === event.pointerId) last = null;
    });
  }
}

/**
 * Sums movements and sends one `look` an animation frame; its time is that of the first movement in the sum.
 * @param {import('./worldloom.js').World} world @returns {Turn}
 */
function summedLook(world) {
  let yaw = 0;
  let pitch = 0;
  let sinceMs = 0;
  let request = 0;
  const flush = () => {
    request = 0;
    if (yaw !== 0 || pitch !== 0) world.look(yaw, pitch, sinceMs);
    yaw = pitch = 0;
  };
  return {
    add(right, down, degrees, atMs) {
      if (request === 0) {
        sinceMs = atMs;
        request = requestAnimationFrame(flush);
      }
      yaw += right * degrees;
      pitch -= down * degrees;
    },
    stop: () => cancelAnimationFrame(request),
  };
}
