/**
 * Key caps and sliders of one world, drawn from what the server says about its actions.
 *
 * A cap has an outline while it is held here and is lit while the server holds it: the light follows receipts, not
 * fingers. Caps can be pressed with a finger or a mouse too.
 */

import { mark } from './write.js';

/** Where keys lie on a keyboard: rows of codes, left to right. The first cluster that has a code shows it. */
const CLUSTERS = [
  [['KeyQ', 'KeyW', 'KeyE', 'KeyR', 'KeyT'], ['KeyA', 'KeyS', 'KeyD', 'KeyF', 'KeyG'], ['KeyZ', 'KeyX', 'KeyC', 'KeyV', 'KeyB']],
  [['KeyY', 'KeyU', 'KeyI', 'KeyO', 'KeyP'], ['KeyH', 'KeyJ', 'KeyK', 'KeyL', 'Semicolon'], ['KeyN', 'KeyM', 'Comma', 'Period', 'Slash']],
  [['Insert', 'Home', 'PageUp'], ['Delete', 'End', 'PageDown']],
  [[null, 'ArrowUp', null], ['ArrowLeft', 'ArrowDown', 'ArrowRight']],
];
const LABELS = {
  ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', Space: 'Space', ShiftLeft: 'Shift', ShiftRight: 'Shift',
  ControlLeft: 'Ctrl', ControlRight: 'Ctrl', Enter: 'Enter', Comma: ',', Period: '.', Slash: '/', Semicolon: ';',
  PageUp: 'PgUp', PageDown: 'PgDn', BracketLeft: '[', BracketRight: ']', Minus: '−', Equal: '=', Quote: "'",
};
/** A cap stays lit at least this long, ms, so that a tap can be seen. */
const GLOW = 140;

/** @param {string} code */
export function keyLabel(code) {
  return LABELS[code] ?? code.replace(/^(Key|Digit|Numpad)/, '');
}

/** What a key does: in full, and as short as a cap is wide. */
function meaning(actions, { column, value }) {
  const full = column.replaceAll('_', ' ');
  if (actions.buttons.includes(column)) return { full, short: full.split(' ').at(-1) };
  const signed = `${full} ${value < 0 ? '−' : '+'}`;
  return { full: signed, short: signed };
}

/** Codes of a world, arranged as they lie on a keyboard: clusters of rows; null is a gap. */
export function arrange(codes) {
  const left = new Set(codes);
  const clusters = [];
  for (const rows of CLUSTERS) {
    const has = rows.map((row) => row.map((code) => (left.delete(code) ? code : null)));
    const used = has[0].map((_, column) => has.some((row) => row[column] !== null));
    if (!used.includes(true)) continue;
    const rowsUsed = has.filter((row) => row.some((code) => code !== null));
    clusters.push(rowsUsed.map((row) => trimEnd(row.filter((_, column) => used[column]))));
  }
  if (left.size) clusters.push([[...left]]);
  return clusters;
}

function trimEnd(row) {
  return row.slice(0, row.findLastIndex((code) => code !== null) + 1);
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, attributes);
  made.append(...children);
  return made;
}

/**
 * Draws the keys of a world into `room`.
 *
 * @param {HTMLElement} room
 * @param {import('./js/worldloom.js').World} world
 * @param {import('./js/input.js').Capture} capture
 * @returns {{held: (codes: Set<string>) => void, receipt: (receipt: object) => void}}
 */
export function drawKeys(room, world, capture) {
  const { actions } = world.info;
  const caps = new Map();
  const cap = (code) => {
    if (code === null) return element('span', { className: 'gap' });
    const { full, short } = meaning(actions, actions.keys[code]);
    const button = element('button', { type: 'button', className: `cap${keyLabel(code).length > 4 ? ' wide' : ''}`, title: full },
      element('b', { textContent: keyLabel(code) }), element('small', { textContent: short }));
    button.dataset.code = code;
    button.setAttribute('aria-label', `${keyLabel(code)}: ${full}`);
    pressable(button, code, capture);
    caps.set(code, { button, litMs: 0 });
    return button;
  };
  room.replaceChildren(...arrange(Object.keys(actions.keys)).map((rows) =>
    element('div', { className: 'cluster' }, ...rows.map((row) => element('div', { className: 'cluster-row' }, ...row.map(cap))))));
  return {
    held: (codes) => caps.forEach(({ button }, code) => mark(button, 'data-pressed', codes.has(code))),
    receipt: (receipt) => light(caps, receipt),
  };
}

/** Holding the cap with a pointer, or with Enter or Space, holds the key. */
function pressable(button, code, capture) {
  const hand = capture.hand();
  button.addEventListener('pointerdown', (event) => {
    event.preventDefault(); // the picture keeps the keyboard
    button.setPointerCapture(event.pointerId);
    hand.press(code, event.timeStamp);
  });
  for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    button.addEventListener(type, (event) => hand.release(code, event.timeStamp));
  }
  button.addEventListener('contextmenu', (event) => event.preventDefault());
  const activates = (event) => event.code === 'Enter' || event.code === 'Space';
  button.addEventListener('keydown', (event) => {
    if (!activates(event) || event.repeat) return;
    event.preventDefault();
    hand.press(code, event.timeStamp);
  });
  button.addEventListener('keyup', (event) => activates(event) && hand.release(code, event.timeStamp));
  button.addEventListener('blur', () => hand.release(code));
}

function light(caps, { status, control }) {
  const cap = control?.type === 'key' ? caps.get(control.code) : undefined;
  if (!cap || status === 'rejected') return;
  if (control.down) {
    if (status !== 'applied') return;
    cap.litMs = performance.now();
    clearTimeout(cap.timer);
    cap.button.dataset.applied = true;
  } else {
    const glow = Math.max(0, cap.litMs + GLOW - performance.now());
    cap.timer = setTimeout(() => (cap.button.dataset.applied = false), glow);
  }
}

/**
 * Draws a slider for each axis that holds its value. A rate (unit "…/frame") springs back to zero when let go, or the
 * world would move on for ever; a position stays.
 *
 * @param {HTMLElement} room
 * @param {import('./js/worldloom.js').World} world
 * @returns {{receipt: (receipt: object) => void, centre: () => void}}
 */
export function drawLevers(room, world) {
  const levers = new Map(world.info.actions.axes.filter((axis) => axis.kind === 'level').map((axis) => [axis.name, lever(axis, world)]));
  room.replaceChildren(...[...levers.values()].map(({ row }) => row));
  return {
    centre: () => levers.forEach(({ rest }) => rest()),
    receipt({ status, control }) {
      if (control?.type !== 'axes' || status !== 'applied') return;
      for (const [name, value] of Object.entries(control.values)) {
        const row = levers.get(name)?.row;
        if (row) row.dataset.applied = value !== 0;
      }
    },
  };
}

function lever(axis, world) {
  const slider = element('input', { type: 'range', min: axis.low, max: axis.high, step: (axis.high - axis.low) / 100, value: 0 });
  const output = element('output', { textContent: '0' });
  const row = element('label', { className: 'lever' }, element('span', { textContent: axis.name }), slider, output);
  row.title = `${axis.name}: ${axis.low} to ${axis.high} ${axis.unit === '1' ? '' : axis.unit}`.trim();
  const show = (value) => {
    slider.value = value;
    output.textContent = value === 0 ? '0' : `${value > 0 ? '+' : '−'}${Math.abs(value).toFixed(2)}`;
  };
  const send = (value, atMs) => {
    show(value);
    world.axes({ [axis.name]: value }, atMs);
  };
  slider.addEventListener('input', (event) => send(Number(slider.value), event.timeStamp));
  slider.addEventListener('dblclick', (event) => send(0, event.timeStamp));
  if (axis.unit.endsWith('/frame')) {
    for (const type of ['pointerup', 'pointercancel', 'keyup', 'blur']) {
      slider.addEventListener(type, (event) => Number(slider.value) !== 0 && send(0, event.timeStamp));
    }
  }
  return { row, rest: () => Number(slider.value) !== 0 && send(0) };
}
