// The client in Node against a real server, whose address is in WORLDLOOM_URL.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';

import { Refused, connect, listWorlds } from '../../../client/js/worldloom.js';

const base = process.env.WORLDLOOM_URL;
const url = `${base.replace(/^http/, 'ws')}/v1/session`;

test('the worlds of a server', async () => {
  assert.deepEqual((await listWorlds(base)).map(({ name }) => name), ['toy']);
});

test('a world is driven without a page', async () => {
  const world = await connect({ url, world: 'toy', seed: 5, transport: 'none' });
  assert.equal(world.seed, 5);
  const { status, frame } = await world.press('KeyW');
  assert.equal(status, 'applied');
  const later = await world.release('KeyW');
  assert.ok(later.frame > frame);
  await assert.rejects(world.press('KeyZ'), (error) => error instanceof Refused && error.code === 'unknown_key');
  assert.equal((await world.look(2, 0)).status, 'applied');
  world.close();
});

test('a connection that is cut comes back to the same session, and its frames go on', async () => {
  const world = await connect({ url, world: 'toy', transport: 'none' });
  const { session } = world;
  const before = await world.press('KeyW');
  const back = new Promise((resolve) => world.addEventListener('back', resolve));
  world.line.drop();
  world.line.lost({ reason: '' });
  await back;
  assert.equal(world.session, session);
  const after = await world.press('KeyW');
  assert.ok(after.frame > before.frame);
  assert.ok(after.seq > before.seq);
  world.close();
});

test('an attempt that fails is over', { timeout: 10000 }, async () => {
  const door = createServer((line) => line.resetAndDestroy());
  await new Promise((resolve) => door.listen(0, '127.0.0.1', resolve));
  const nobody = `ws://127.0.0.1:${door.address().port}/v1/session`;
  await assert.rejects(connect({ url: nobody, transport: 'none' }), (error) => error.code === 'unreachable');
  await new Promise((resolve) => door.close(resolve));
});

test('lockstep steps when it is asked to', async () => {
  const world = await connect({ url, world: 'toy', transport: 'none', mode: 'lockstep' });
  assert.equal((await world.step()).frame, 0);
  assert.equal((await world.step([[0, 0, 0, 0, 1, 0]])).frame, 1);
  world.close();
});
