/**
 * Two sticks for fingers below the picture, on screens that are touched: what they do is what a gamepad's sticks do, except
 * that a world without a view to turn gives its axes to both.
 *
 * They only repeat what keys and sliders do, so nobody who cannot see them misses anything.
 */

import { captureTouchPad, defaultSticks } from './js/worldloom.js';

/**
 * Draws the sticks of a world into `room`.
 * @param {HTMLElement} room
 * @param {import('./js/worldloom.js').World} world
 * @param {import('./js/input.js').Capture} capture
 * @returns {{stop: () => void}}
 */
export function drawPads(room, world, capture) {
  const pads = sticksFor(world.info).map((stick) => drawPad(world, capture, stick));
  room.replaceChildren(...pads.map(({ holder }) => holder));
  return { stop: () => pads.forEach(({ stop }) => stop()) };
}

/** Left and right. @param {import('./js/protocol.js').WorldInfo} info */
export function sticksFor(info) {
  const { look, axes } = info.actions;
  const levels = axes.filter((axis) => axis.kind === 'level').map((axis) => axis.name);
  const turns = look.some((axis) => axis !== null);
  const { left, right } = defaultSticks(info);
  const both = turns || levels.length < 3 ? [left, right] : [{ axes: levels.slice(0, 2) }, { axes: [levels[3] ?? null, levels[2]] }];
  return both.filter((stick) => stick.keys || stick.look || stick.axes?.length);
}

function drawPad(world, capture, stick) {
  const pad = Object.assign(document.createElement('div'), { className: 'pad' });
  const knob = Object.assign(document.createElement('i'), { className: 'knob' });
  const name = document.createElement('span');
  name.textContent = stick.look ? 'Look' : (stick.axes?.filter(Boolean).join(' · ') ?? 'Walk');
  const holder = Object.assign(document.createElement('div'), { className: 'pad-holder' });
  pad.append(knob);
  holder.append(pad, name);
  const listening = new AbortController();
  const { signal } = listening;
  const follow = (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    const { left, top, width, height } = pad.getBoundingClientRect();
    const [x, y] = [(2 * (event.clientX - left)) / width - 1, (2 * (event.clientY - top)) / height - 1];
    const far = Math.max(1, Math.hypot(x, y));
    knob.style.transform = `translate(${(x / far) * 100}%, ${(y / far) * 100}%)`;
  };
  const { stop } = captureTouchPad(world, pad, stick, capture);
  for (const type of ['pointerdown', 'pointermove']) pad.addEventListener(type, follow, { signal });
  pad.addEventListener('lostpointercapture', () => (knob.style.transform = ''), { signal });
  return {
    holder,
    stop() {
      listening.abort();
      stop();
    },
  };
}
