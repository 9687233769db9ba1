// A display of 60 Hz, and pictures that come at some point of its beat: how long they wait, before and after a shift.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Beat, UNDER_WAY, WINDOW } from '../../../client/js/beat.js';
import { Display, DRAWING } from '../../../client/js/display.js';

const BEAT = 1000 / 60;

/** Pictures of a world on such a display. @param {number} phase @param {number} period @param {number} noise */
function pictures(phase, period, noise = 0, answer = () => {}) {
  const asked = [];
  let at = phase;
  const beat = new Beat((ms) => {
    asked.push(ms);
    at += ms;
    return answer();
  });
  const display = new Display();
  const waits = [];
  const play = (count) => {
    for (let k = 0; k < count; k++) {
      at += period;
      const drawn = at + noise * Math.sin(k * 12.9898);
      const wait = display.seen(drawn, 0) - drawn;
      waits.push(wait);
      beat.shown(wait - DRAWING, display.periodMs);
    }
    return waits.slice(-WINDOW).sort((a, b) => a - b);
  };
  return { asked, play, beat, drift: (ms) => (at += ms) };
}

for (const phase of [0.5, 3, 7.9, 12, 16.2]) {
  test(`pictures ${phase} ms behind the beat come just in time after one shift`, () => {
    const one = pictures(phase, 50, 1);
    one.play(WINDOW + UNDER_WAY);
    const waits = one.play(WINDOW * 20);
    assert.ok(one.asked.length <= 1, `${one.asked}`);
    assert.ok(waits[0] >= DRAWING, 'none misses its beat');
    assert.ok(waits.at(-1) < DRAWING + BEAT / 2, `${waits.at(-1)}`);
  });
}

test('pictures that come unevenly keep a greater distance', () => {
  const even = pictures(4, 50, 1);
  const uneven = pictures(4, 50, 6);
  even.play(WINDOW * 4);
  uneven.play(WINDOW * 4);
  assert.ok(even.play(WINDOW)[WINDOW >> 1] + 2 < uneven.play(WINDOW)[WINDOW >> 1]);
  assert.ok(uneven.play(WINDOW).filter((wait) => wait > DRAWING + BEAT - 1).length <= 2, 'few miss their beat');
});

test('a rate that does not divide the display\'s is left alone', () => {
  const one = pictures(3, 1000 / 17.5, 1);
  one.play(WINDOW * 20);
  assert.deepEqual(one.asked, []);
});

test('pictures that come all over the beat are left alone', () => {
  const one = pictures(3, 50, 12);
  one.play(WINDOW * 20);
  assert.deepEqual(one.asked, []);
});

test('a beat that drifted away is found again', () => {
  const one = pictures(3, 50, 1);
  one.play(WINDOW * 4);
  const asked = one.asked.length;
  one.drift(7);
  const waits = one.play(WINDOW * 6);
  assert.ok(one.asked.length > asked);
  assert.ok(waits[0] >= DRAWING && waits.at(-1) < DRAWING + BEAT / 2, `${waits}`);
});

test('who is refused asks no more, until another session', () => {
  const one = pictures(3, 50, 1, () => ({ status: 'rejected' }));
  one.play(WINDOW);
  assert.equal(one.asked.length, 1);
  return Promise.resolve().then(() => {
    one.drift(7);
    one.play(WINDOW * 8);
    assert.equal(one.asked.length, 1);
    one.beat.restart();
    one.play(WINDOW);
    assert.equal(one.asked.length, 2);
  });
});

test('a display is measured by its beats, and one that is left out does not count', async () => {
  let at = 0;
  let count = 0;
  globalThis.requestAnimationFrame = (done) => {
    at += ++count % 7 === 0 ? 2000 / 144 : 1000 / 144;
    setImmediate(() => done(at));
    return count;
  };
  const display = new Display();
  await display.measure();
  delete globalThis.requestAnimationFrame;
  assert.ok(Math.abs(display.periodMs - 1000 / 144) < 0.01, `${display.periodMs}`);
});

test('a picture is seen at the first beat after it was drawn', () => {
  const display = new Display();
  assert.equal(display.seen(100, 100 + DRAWING), 100 + DRAWING); // just drawn
  assert.ok(Math.abs(display.seen(101, 100 + DRAWING) - (100 + DRAWING + BEAT)) < 1e-9, 'it missed that beat');
  assert.ok(Math.abs(display.seen(100, 100 + DRAWING + 4 * BEAT) - (100 + DRAWING)) < 1e-9, 'a later beat says the same');
});
