// The client in Node against a server that the test plays: hello, receipts, refusals, and a connection that is lost.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { FakeSocket, until } from './fake.mjs';
import { Refused, connect } from '../../../client/js/worldloom.js';

let world = null;

async function open(options = {}, welcome = {}) {
  FakeSocket.all.length = 0;
  FakeSocket.refuse = false;
  const opening = connect({ url: 'ws://server/v1/session', transport: 'none', ...options });
  await until(() => FakeSocket.last?.sent.length === 1);
  FakeSocket.last.welcome(welcome);
  world = await opening;
  return FakeSocket.last;
}

afterEach(() => world?.close());

const refused = (code) => (error) => error instanceof Refused && error.code === code;

test('hello asks for what the options say', async () => {
  const socket = await open({ world: 'toy', seed: 7, mode: 'lockstep', token: 'a-token-of-mine' });
  assert.deepEqual(socket.sent[0], { type: 'hello', protocol: 1, world: 'toy', seed: 7, mode: 'lockstep', token: 'a-token-of-mine', video: 'none' });
  assert.equal(world.world, 'toy');
  assert.deepEqual(world.tokens, { resume: 'resume-token', watch: 'watch-token' });
});

test('a refusal is an error with its code', async () => {
  FakeSocket.all.length = 0;
  const opening = connect({ url: 'ws://server/v1/session', transport: 'none' });
  await until(() => FakeSocket.last?.sent.length === 1);
  FakeSocket.last.say({ type: 'error', code: 'busy', message: 'later', retryable: true });
  await assert.rejects(opening, refused('busy'));
});

test('a control is a promise of its receipt', async () => {
  const socket = await open();
  const sent = world.press('KeyW');
  assert.deepEqual(socket.sent.at(-1), { type: 'key', code: 'KeyW', down: true, seq: sent.seq });
  const told = [];
  world.addEventListener('receipt', ({ detail }) => told.push(detail));
  socket.say({ type: 'receipt', seq: sent.seq, status: 'applied', frame: 42 });
  assert.deepEqual(await sent, { type: 'receipt', seq: sent.seq, status: 'applied', frame: 42 });
  assert.deepEqual(told[0].control, { type: 'key', code: 'KeyW', down: true });
});

test('a tap is a press and a release', async () => {
  const socket = await open();
  const pressed = world.tap('KeyW');
  assert.deepEqual(socket.of('key').map(({ seq, down }) => [seq, down]), [[pressed.seq, true], [pressed.seq + 1, false]]);
});

test('a rejected control says why, and nobody has to listen', async () => {
  const socket = await open();
  const unheard = world.press('KeyX');
  const heard = world.press('KeyZ');
  for (const { seq } of [unheard, heard]) {
    socket.say({ type: 'error', code: 'unknown_key', message: 'no such key', seq, retryable: false });
    socket.say({ type: 'receipt', seq, status: 'rejected' });
  }
  await assert.rejects(heard, refused('unknown_key'));
});

test('controls without an answer are bounded', async () => {
  await open();
  const first = world.look(1, 0);
  for (let n = 0; n < 600; n += 1) world.look(1, 0);
  await assert.rejects(first, refused('unanswered'));
  assert.ok(world.receipts.unanswered.size <= 512);
});

test('a lost connection is opened again with the resume token, and the numbers go on', async () => {
  const first = await open();
  const events = [];
  for (const type of ['lost', 'back', 'closed']) world.addEventListener(type, () => events.push(type));
  const seen = world.press('KeyW');
  const unseen = world.look(5, 0);
  first.close(1006, '');
  await assert.rejects(world.press('KeyS'), refused('connection_lost'));
  await until(() => FakeSocket.all.length === 2 && FakeSocket.last.sent.length === 1);
  assert.equal(FakeSocket.last.sent[0].resume, 'resume-token');
  FakeSocket.last.welcome({ last_seq: seen.seq, frame: 20 });
  await assert.rejects(unseen, refused('connection_lost'));
  FakeSocket.last.say({ type: 'receipt', seq: seen.seq, status: 'expired' });
  assert.equal((await seen).status, 'expired');
  assert.ok(world.press('KeyW').seq > unseen.seq);
  assert.deepEqual(events, ['lost', 'back']);
});

test('an answer that was lost with the connection is given up', async () => {
  const first = await open();
  const seen = world.press('KeyW');
  first.close(1006, '');
  await until(() => FakeSocket.all.length === 2 && FakeSocket.last.sent.length === 1);
  FakeSocket.last.welcome({ last_seq: seen.seq });
  await assert.rejects(seen, refused('connection_lost'));
});

test('a server that is not there is tried again; a session that has ended is the end', async () => {
  const first = await open();
  const closed = new Promise((resolve) => world.addEventListener('closed', ({ detail }) => resolve(detail)));
  FakeSocket.refuse = true;
  first.close(1006, '');
  await until(() => FakeSocket.all.length >= 3);
  FakeSocket.refuse = false;
  await until(() => FakeSocket.last.sent.length === 1);
  const waiting = world.press('KeyW');
  FakeSocket.last.say({ type: 'error', code: 'unknown_session', message: 'gone', retryable: false });
  assert.equal((await closed).code, 'connection_lost');
  await assert.rejects(waiting, Refused);
});

test('closing says goodbye and leaves nobody waiting', async () => {
  const socket = await open();
  const waiting = world.look(1, 0);
  world.close();
  assert.equal(socket.sent.at(-1).type, 'bye');
  await assert.rejects(waiting, refused('session_closed'));
});

test('pictures need a place to be shown', async () => {
  await assert.rejects(connect({ url: 'ws://server/v1/session' }), /expected a <(canvas|video)>/);
});
