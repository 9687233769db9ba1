/**
 * Keyboard, mouse and touch -> control messages, for one element of the page.
 *
 * Keys travel as `KeyboardEvent.code`, so a layout keeps its places and not its letters. Mouse movement becomes degrees,
 * summed over an animation frame and sent once. Whatever makes the page stop hearing keys (blur, a hidden tab, the end
 * of a capture) releases every key first, because a key that is never released would walk for ever.
 *
 * Knows nothing of video or sockets: it calls `key`, `look` and reads `info` of the world that it is given.
 */

/** Degrees of view for one pixel of mouse movement. */
const DEGREES_PER_PIXEL = 0.18;
/** Degrees of view for one pixel of a finger's drag: a finger has less room than a mouse. */
const DEGREES_PER_TOUCH_PIXEL = 0.35;

/**
 * @typedef {object} Capture
 * @property {(code: string, atMs?: number) => void} press hold a key, as if it went down on the keyboard
 * @property {(code: string, atMs?: number) => void} release
 * @property {() => void} releaseAll
 * @property {() => Set<string>} held codes that are down now
 * @property {() => void} stop let go of everything and stop listening
 */

/**
 * Listens to `element` on behalf of a world.
 *
 * @param {import('./worldloom.js').World} world
 * @param {HTMLElement} element must be focusable; clicking it captures the keyboard and, where the world looks around, the mouse
 * @param {{onHeld?: (held: Set<string>) => void, onCapture?: (captured: boolean) => void}} [options]
 * @returns {Capture}
 */
export function captureInput(world, element, options = {}) {
  const bound = new Set(Object.keys(world.info.actions.keys));
  const looks = world.info.actions.look.some((axis) => axis !== null);
  const held = /** @type {Set<string>} */ (new Set());
  const listening = new AbortController();
  const on = (target, type, listener, extra = {}) =>
    target.addEventListener(type, listener, { signal: listening.signal, ...extra });

  const press = (code, atMs = performance.now()) => {
    if (held.has(code) || !bound.has(code)) return;
    held.add(code);
    world.key(code, true, atMs);
    options.onHeld?.(held);
  };
  const release = (code, atMs = performance.now()) => {
    if (!held.delete(code)) return;
    world.key(code, false, atMs);
    options.onHeld?.(held);
  };
  const releaseAll = () => [...held].forEach((code) => release(code));

  on(element, 'keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !bound.has(event.code)) return;
    event.preventDefault();
    if (!event.repeat) press(event.code, event.timeStamp);
  });
  // Released anywhere, because the key may come up after the focus has moved on.
  on(window, 'keyup', (event) => release(event.code, event.timeStamp));
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

  return {
    press,
    release,
    releaseAll,
    held: () => new Set(held),
    stop() {
      releaseAll();
      turn.stop();
      listening.abort();
      if (document.pointerLockElement === element) document.exitPointerLock();
    },
  };
}

/** Raw mouse movement where the browser has it, accelerated movement otherwise, dragging where locking is refused. */
async function lockPointer(element) {
  if (!element.requestPointerLock || document.pointerLockElement === element) return;
  try {
    await element.requestPointerLock({ unadjustedMovement: true });
  } catch (error) {
    if (error.name !== 'NotSupportedError') return; // refused, or left again at once: dragging still looks around
    await Promise.resolve(element.requestPointerLock()).catch(() => {});
  }
}

/** Looking around with a finger, or with a pressed mouse button where the pointer is not locked. */
function listenToDrags(element, on, turn) {
  let last = null;
  on(element, 'pointerdown', (event) => {
    if (!event.isPrimary || event.target.closest('button')) return;
    last = { id: event.pointerId, x: event.clientX, y: event.clientY };
  });
  on(window, 'pointermove', (event) => {
    if (last?.id !== event.pointerId || document.pointerLockElement) return;
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

/** Sums movements and sends one `look` an animation frame; its time is that of the first movement in the sum. */
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
