// Sticks, gamepads, touch pads: what they make of a world's controls.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { WORLD } from './fake.mjs';
import { captureGamepad } from '../../../client/js/gamepad.js';
import { StickDriver, defaultSticks } from '../../../client/js/sticks.js';
import { captureTouchPad } from '../../../client/js/touchpad.js';

let said = [];
const world = {
  info: WORLD,
  axes: (values) => said.push(values),
  look: (yaw, pitch) => said.push([yaw, pitch]),
  press: (code) => said.push(`+${code}`),
  release: (code) => said.push(`-${code}`),
};

beforeEach(() => (said = []));

test('the sticks of a world with keys and a view', () => {
  const { left, right, pad, buttons } = defaultSticks(WORLD);
  assert.deepEqual(left.keys, ['KeyD', 'KeyA', 'KeyS', 'KeyW']);
  assert.ok(right.look > 0);
  assert.deepEqual(pad.keys, left.keys);
  assert.deepEqual(buttons, ['Space']);
});

test('the sticks of a world of axes', () => {
  const axes = ['x', 'y', 'z'].map((name) => ({ name, low: -1, high: 1, unit: '1', kind: 'level' }));
  const { left, right, buttons } = defaultSticks({ ...WORLD, actions: { buttons: [], axes, keys: {}, look: [null, null] } });
  assert.deepEqual([left.axes, right.axes, buttons], [['x', 'y'], ['z'], []]);
});

test('a stick holds keys, with a gap between down and up', () => {
  const driver = new StickDriver(world, world, { keys: ['KeyD', 'KeyA', 'KeyS', 'KeyW'] });
  for (const y of [0.1, 0.9, 0.55, 0.52, 0.1, -0.9]) driver.move(0, y, 0.02);
  driver.rest();
  assert.deepEqual(said, ['+KeyW', '-KeyW', '+KeyS', '-KeyS']);
});

test('a stick sets axes within their range, and not for every tremble', () => {
  const driver = new StickDriver(world, world, { axes: ['lever', null] });
  for (const x of [0.05, 1, 1, 0.999, -1, 0]) driver.move(x, 0, 0.02);
  assert.deepEqual(said.map(({ lever }) => lever), [2, -1, 0]);
});

test('a stick turns the view by its speed and the time', () => {
  const driver = new StickDriver(world, world, { look: 100 });
  driver.move(1, 0, 0.1);
  driver.move(0, -1, 0.1);
  driver.move(0.05, 0.05, 0.1);
  assert.deepEqual(said, [[10, 0], [0, -10]].map(([yaw, pitch]) => [yaw, pitch]));
});

/** A page with a gamepad. */
function page(pads) {
  const frames = [];
  globalThis.window = new EventTarget();
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
  Object.defineProperty(globalThis, 'navigator', { value: { getGamepads: () => pads }, configurable: true });
  globalThis.requestAnimationFrame = (call) => frames.push(call);
  globalThis.cancelAnimationFrame = () => (frames.length = 0);
  return { frames, frame: (ms) => frames.shift()?.(ms) };
}

const pad = (pressed = [], axes = [0, 0, 0, 0]) => ({
  connected: true, axes, buttons: Array.from({ length: 17 }, (_, number) => ({ pressed: pressed.includes(number) })),
});

test('a gamepad holds what is held, and lets go when it is unplugged', () => {
  const pads = [pad()];
  const { frame, frames } = page(pads);
  captureGamepad(world, world);
  frame(0);
  pads[0] = pad([0, 12]);
  frame(16);
  pads[0] = pad([12], [0, -1, 1, 0]);
  frame(32);
  pads[0] = null;
  frame(48);
  assert.deepEqual(said.map((one) => (Array.isArray(one) ? 'look' : one)), ['+KeyW', '+Space', 'look', '-Space', '-KeyW']);
  assert.equal(frames.length, 0, 'nothing is looked at without a pad');
});

test('the cross lets go of a key that the stick still holds', () => {
  const pads = [pad([12], [0, -1, 0, 0])];
  const { frame } = page(pads);
  captureGamepad(world, world);
  frame(0);
  pads[0] = pad([], [0, -1, 0, 0]);
  frame(16);
  assert.deepEqual(said, ['+KeyW']);
  pads[0] = pad();
  frame(32);
  assert.deepEqual(said, ['+KeyW', '-KeyW']);
});

test('two buttons of a pad may be the same key', () => {
  const pads = [pad([0])];
  const { frame } = page(pads);
  captureGamepad(world, world, { buttons: ['Space', 'Space'] });
  [pad([0]), pad([0, 1]), pad([1]), pad()].forEach((held, number) => {
    pads[0] = held;
    frame(16 * number);
  });
  assert.deepEqual(said, ['+Space', '-Space']);
});

test('a pad that comes later is noticed, and a capture that ends lets go', () => {
  const pads = [null];
  const { frame, frames } = page(pads);
  const capture = captureGamepad(world, world);
  assert.equal(frames.length, 0);
  pads[0] = pad([0]);
  window.dispatchEvent(new Event('gamepadconnected'));
  frame(0);
  capture.stop();
  assert.deepEqual(said, ['+Space', '-Space']);
  window.dispatchEvent(new Event('gamepadconnected'));
  assert.equal(frames.length, 0);
});

/** A touch pad of 200 pixels with its right edge held. */
function touched() {
  const { frame } = page([]);
  const element = Object.assign(new EventTarget(), {
    getBoundingClientRect: () => ({ left: 0, top: 0, width: 200, height: 200 }),
    setPointerCapture: () => {},
  });
  const capture = captureTouchPad(world, element, { look: 100 });
  element.dispatchEvent(Object.assign(new Event('pointerdown'), { pointerId: 1, clientX: 200, clientY: 100 }));
  return { frame, capture };
}

test('a view turns no further for a page that was busy: by pad or by finger', () => {
  const { frame } = page([pad([], [0, 0, 1, 0])]);
  captureGamepad(world, world, { right: { look: 100 } });
  frame(performance.now());
  said = [];
  frame(performance.now() + 60000);
  const finger = touched();
  finger.frame(performance.now() + 60000);
  finger.capture.stop();
  assert.deepEqual(said.map(([yaw]) => yaw), [10, 10]);
});
