// Several hands on the keys of a world: keyboard, gamepad, buttons of the page.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { WORLD } from './fake.mjs';
import { shared } from '../../../client/js/hands.js';
import { captureInput } from '../../../client/js/input.js';

let said = [];
const keys = { press: (code) => said.push(`+${code}`), release: (code) => said.push(`-${code}`) };
const world = { info: WORLD, look: () => {}, axes: () => {}, key: (code, down) => said.push(`${down ? '+' : '-'}${code}`) };

beforeEach(() => (said = []));

test('a key is down with the first hand on it and up with the last', () => {
  const all = shared(keys);
  const [one, other] = [all.hand(), all.hand()];
  one.press('KeyW');
  other.press('KeyW');
  one.release('KeyW');
  one.release('KeyW');
  assert.deepEqual([said, [...all.held()]], [['+KeyW'], ['KeyW']]);
  other.release('KeyW');
  assert.deepEqual([said, [...all.held()]], [['+KeyW', '-KeyW'], []]);
});

test('after letting go of everything no hand is left on a key', () => {
  const all = shared(keys);
  const [one, other] = [all.hand(), all.hand()];
  one.press('KeyW');
  all.releaseAll();
  other.press('KeyW');
  one.release('KeyW');
  assert.deepEqual(said, ['+KeyW', '-KeyW', '+KeyW']);
  assert.deepEqual([...all.held()], ['KeyW']);
});

/** A page with an element that hears keys, and a gamepad. */
function page() {
  const pad = { connected: true, axes: [0, 0, 0, 0], buttons: [] };
  const frames = [];
  globalThis.window = new EventTarget();
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
  Object.defineProperty(globalThis, 'navigator', { value: { getGamepads: () => [pad] }, configurable: true });
  globalThis.requestAnimationFrame = (call) => frames.push(call);
  globalThis.cancelAnimationFrame = () => {};
  const element = new EventTarget();
  const key = (type, code) => (type === 'keyup' ? window : element).dispatchEvent(Object.assign(new Event(type), { code }));
  return { element, key, look: (axes) => (Object.assign(pad, { axes }), frames.shift()(0)) };
}

test('keyboard, stick and a button of the page hold one key', () => {
  const { element, key, look } = page();
  const told = [];
  const capture = captureInput(world, element, { onHeld: (held) => told.push([...held]) });
  const button = capture.hand();
  key('keydown', 'KeyW');
  look([0, -1, 0, 0]);
  button.press('KeyW');
  key('keyup', 'KeyW');
  key('keyup', 'KeyW');
  button.release('KeyW');
  assert.deepEqual([said, [...capture.held()]], [['+KeyW'], ['KeyW']]);
  look([0, 0, 0, 0]);
  assert.deepEqual(said, ['+KeyW', '-KeyW']);
  assert.deepEqual(told, [['KeyW'], []]);
});

test('a key that the world does not have is not held', () => {
  const { element, key } = page();
  const capture = captureInput(world, element);
  key('keydown', 'KeyZ');
  capture.press('KeyZ');
  assert.deepEqual([said, [...capture.held()]], [[], []]);
  capture.press('KeyW');
  capture.stop();
  assert.deepEqual(said, ['+KeyW', '-KeyW']);
});
