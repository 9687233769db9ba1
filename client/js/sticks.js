/**
 * A stick, two numbers from -1 to 1, as controls of a world: keys that are held, axes that are set, or a view that turns.
 *
 * Knows a world's controls; not where the numbers come from, which is a gamepad or a finger.
 */

/** A stick this near its middle is at rest, as a share of its way. */
const DEAD = 0.15;
/** A key goes down beyond the first and comes up again below the second, as a share of the way. */
const [DOWN, UP] = [0.5, 0.4];
/** An axis is told anew when its stick has moved by so much. */
const STEP = 0.02;
/** How fast a stick at its end turns the view, degrees a second. */
const LOOK = 150;
/** A pause between two looks at a stick that counts for no more, s: the page may have been hidden, or busy. */
const LONGEST = 0.1;

const WASD = ['KeyD', 'KeyA', 'KeyS', 'KeyW'];
const ARROWS = ['ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowUp'];

/** @typedef {import('./protocol.js').WorldInfo} WorldInfo */
/**
 * @typedef {object} Stick what a stick does; any of these, or none
 * @property {string[]} [keys] codes for right, left, down and up
 * @property {(string | null)[]} [axes] names of the axes that right and up raise
 * @property {number} [look] degrees a second that its end turns the view
 */
/** @typedef {{left: Stick, right: Stick, pad: Stick, buttons: string[]}} Sticks of a gamepad; buttons by their number */
/**
 * @typedef {object} Driven what sticks drive
 * @property {WorldInfo} info
 * @property {(values: {[name: string]: number}, atMs?: number) => unknown} axes
 * @property {(yaw: number, pitch: number, atMs?: number) => unknown} look
 */
/** @typedef {import('./hands.js').Keys} Keys */

/**
 * What the sticks of a gamepad do in a world: the left one walks, the right one looks around; where a world has no keys
 * for that they move its axes, in order. Buttons are the keys that are left, Space first.
 *
 * @param {WorldInfo} info
 * @returns {Sticks}
 */
export function defaultSticks(info) {
  const { keys, look, axes } = info.actions;
  const bound = (/** @type {string[]} */ codes) => codes.some((code) => code in keys);
  const levels = axes.filter((axis) => axis.kind === 'level' && !axis.name.startsWith('look')).map((axis) => axis.name);
  const walk = [WASD, ARROWS].find(bound);
  const pairs = [levels.slice(0, 2), levels.slice(2, 4)].filter((pair) => pair.length > 0);
  const left = walk ? { keys: walk } : { axes: pairs.shift() };
  const right = look.some((axis) => axis !== null) ? { look: LOOK } : { axes: pairs.shift() };
  const buttons = Object.keys(keys).filter((code) => !WASD.includes(code) && !ARROWS.includes(code));
  buttons.sort((a, b) => Number(b === 'Space') - Number(a === 'Space'));
  return { left, right, pad: { keys: bound(ARROWS) ? ARROWS : walk }, buttons };
}

/** Between two looks at a stick, s. @param {number} lastMs @param {number} nowMs */
export function between(lastMs, nowMs) {
  return Math.min(LONGEST, Math.max(0, (nowMs - lastMs) / 1000));
}

/** One stick that drives a world. */
export class StickDriver {
  /** @param {Driven} world @param {Keys} keys where hands are told apart, it is one of its own @param {Stick} stick */
  constructor(world, keys, stick) {
    this.world = world;
    this.keys = keys.hand?.() ?? keys;
    this.stick = stick;
    /** @type {Set<string>} */
    this.held = new Set();
    /** @type {Map<string, number>} by axis: where the stick was when it was told */
    this.told = new Map();
  }

  /**
   * Where the stick is now.
   * @param {number} x right + @param {number} y up + @param {number} seconds since it was asked last
   * @param {number} [atMs]
   */
  move(x, y, seconds, atMs) {
    const length = Math.hypot(x, y);
    const scale = length <= DEAD ? 0 : (Math.min(1, length) - DEAD) / (1 - DEAD) / length;
    const [right, up] = [x * scale, y * scale];
    this.stick.keys?.forEach((code, way) => this.hold(code, [right, -right, -up, up][way], atMs));
    this.stick.axes?.forEach((name, way) => name && this.tell(name, [right, up][way], atMs));
    const turn = (this.stick.look ?? 0) * seconds;
    if (turn > 0 && (right !== 0 || up !== 0)) this.world.look(right * Math.abs(right) * turn, up * Math.abs(up) * turn, atMs);
  }

  /** Nobody touches it any more. */
  rest() {
    this.move(0, 0, 0);
  }

  /** @param {string} code @param {number} share of the way in its direction @param {number} [atMs] */
  hold(code, share, atMs) {
    if (!this.held.has(code) && share > DOWN) {
      this.held.add(code);
      this.keys.press(code, atMs);
    } else if (share < UP && this.held.delete(code)) {
      this.keys.release(code, atMs);
    }
  }

  /** @param {string} name @param {number} share @param {number} [atMs] */
  tell(name, share, atMs) {
    const before = this.told.get(name) ?? 0;
    if (share === before || (share !== 0 && Math.abs(share) < 1 && Math.abs(share - before) < STEP)) return;
    const axis = this.world.info.actions.axes.find((one) => one.name === name);
    if (!axis) return;
    this.told.set(name, share);
    this.world.axes({ [name]: share * (share < 0 ? -axis.low : axis.high) }, atMs);
  }
}
