// Which way the pictures come, with a WebRTC that the test plays.
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { View } from '../../../client/js/view.js';

const PATH = 2000; // ms that a path may take

globalThis.RTCPeerConnection = class {};
globalThis.cancelAnimationFrame = () => {};

beforeEach(() => {
  globalThis.document = { hidden: false };
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
});

/** A view whose WebRTC has been answered; `picture` shows its first picture, `peer.reaches` says whether there is a path. */
async function answered() {
  const view = new View({ video: {}, canvas: { getContext: () => ({}) } }, {}, { post: () => {}, onFlowing: () => {}, onDead: () => {} });
  const peer = { answered: Promise.resolve(), reaches: false, dropped: 0, close: () => {} };
  let picture;
  view.openPeer = (onPicture) => {
    picture = onPicture;
    return peer;
  };
  view.begin();
  await peer.answered;
  return { view, peer, picture };
}

test('without a path the pictures come over the WebSocket', async () => {
  const { view } = await answered();
  mock.timers.tick(PATH - 1);
  assert.equal(view.transport, 'webrtc');
  mock.timers.tick(1);
  assert.equal(view.transport, 'websocket');
  view.close();
});

test('with a path the first picture may take longer', async () => {
  const { view, peer } = await answered();
  peer.reaches = true;
  mock.timers.tick(PATH);
  assert.equal(view.transport, 'webrtc');
  view.close();
});

test('pictures that flow are not given up for a path that is broken for a moment', async () => {
  const { view, peer, picture } = await answered();
  peer.reaches = true;
  picture();
  peer.reaches = false;
  mock.timers.tick(PATH);
  assert.equal(view.transport, 'webrtc');
  view.close();
});
