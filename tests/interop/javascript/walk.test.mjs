// Walks as text, and walked again.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { WORLD } from './fake.mjs';
import { LONGEST, Replay, packWalk, unpackWalk } from '../../../client/js/walk.js';

const exact = (value) => Math.fround(value);
const walk = (frames, value = (frame) => frame % 7) => ({
  world: 'doom', seed: 2 ** 40, rows: Array.from({ length: frames }, (_, frame) => [Number(frame > 3), exact(0.1 * value(frame)), -1]),
});

test('a text holds every bit of a walk', async () => {
  for (const frames of [1, 2, 1000]) {
    const taken = walk(frames);
    const text = await packWalk(taken);
    assert.match(text, /^[\w-]+$/);
    const { world, seed, rows } = await unpackWalk(text);
    assert.deepEqual({ world, seed, rows }, taken);
  }
});

test('a minute of keys is short', async () => {
  assert.ok((await packWalk(walk(1050))).length < 1000);
});

test('what a link cannot hold is refused', async () => {
  await assert.rejects(packWalk({ ...walk(3), image: true }), { code: 'unsupported' });
  await assert.rejects(packWalk(walk(60000, Math.random)), { code: 'unsupported' });
});

test('what is no walk is refused', async () => {
  const text = await packWalk(walk(50));
  for (const wrong of ['', 'x', '!!', text.slice(0, -9), text.replace(/^.{5}/, 'AAAAA'), 'A'.repeat(LONGEST + 1)]) {
    await assert.rejects(unpackWalk(wrong), { code: 'bad_walk' });
  }
});

test('a bomb is refused before it unfolds', async () => {
  const zeros = new Blob([new Uint8Array(2 ** 24)]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const text = Buffer.from(await new Response(zeros).arrayBuffer()).toString('base64url');
  assert.ok(text.length < LONGEST);
  await assert.rejects(unpackWalk(text), { code: 'bad_walk' });
});

/** A world that notes what it is stepped with. */
class Stepped {
  info = { ...WORLD, fps: [500, 1], chunk: 2 };
  said = [];
  fails = false;

  async step(rows) {
    if (this.fails) throw new Error('connection_lost');
    this.said.push(rows);
  }
}

const until = async (holds) => {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 500, 'it never came');
    await new Promise((done) => setTimeout(done, 2));
  }
};

test('a replay takes every chunk once, says so, and goes on with what is held', async () => {
  const world = new Stepped();
  let ended = 0;
  const replay = new Replay(world, [[0], [1], [2], [3]], { onEnd: (whole) => (ended += whole) });
  replay.play();
  await until(() => world.said.length > 3);
  replay.stop();
  assert.deepEqual(world.said.slice(0, 3), [[[0], [1]], [[2], [3]], undefined]);
  assert.equal(ended, 1);
});

test('a replay that is paused goes step by step', async () => {
  const world = new Stepped();
  const replay = new Replay(world, [[0], [1], [2], [3]]);
  await replay.step();
  assert.equal(replay.replaying, true);
  await replay.step();
  assert.deepEqual([world.said.length, replay.replaying], [2, false]);
});

test('a replay that breaks off says so', async () => {
  const world = new Stepped();
  let whole = null;
  const replay = new Replay(world, [[0], [1]], { onEnd: (all) => (whole = all) });
  world.fails = true;
  await replay.step();
  assert.equal(whole, false);
});
