/**
 * The steps of a visit, for the preflight page: each does a bit more of what the demo page does, with the same modules,
 * and says what it found or throws `Failed` with what to do. Knows no elements but those that show pictures.
 */

import { CanvasVideo, bestFormat, unpackFrame } from './js/canvas.js';
import { Refused } from './js/refused.js';
import { openSocket } from './js/socket.js';
import { WebRtcVideo } from './js/webrtc.js';

/** How long each wait may take, ms. */
const ANSWER = 5000;
const GATHER = 6000;
const CONNECT = 10000;
const PICTURE = 8000;

/** A step failed: the message says how, the remedy what to do. */
export class Failed extends Error {
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

/** What the steps share: one session on the server, and what has been seen of it. */
export class Visit {
  /** @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @param {URLSearchParams} query of the page */
  constructor(video, canvas, query) {
    this.video = video;
    this.canvas = canvas;
    this.token = query.get('token') ?? undefined;
    this.world = query.get('world') ?? undefined;
    this.candidates = new Set(); // kinds of address: host, srflx, relay
    this.onJson = () => {};
    this.onPicture = () => {};
    this.onError = () => {};
    this.gone = new Promise((_, reject) => (this.onGone = reject));
    this.gone.catch(() => {}); // whoever waits for it hears it
  }

  /** Takes over an open WebSocket. */
  listen(socket) {
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return this.onPicture(unpackFrame(data));
      const message = JSON.parse(data);
      if (message.type === 'error') this.onError(new Failed(`${message.code}: ${message.message}`, 'The server’s log says more.'));
      return this.onJson(message);
    };
    socket.onclose = () => this.onGone(new Failed('the server closed the connection', 'The server’s log says why; a proxy may cut WebSockets that last.'));
  }

  post(message) {
    this.socket.send(JSON.stringify(message));
  }

  /** `promise`, unless the server says no, the connection ends, or it takes too long. */
  async within(ms, promise, failed) {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(failed()), ms)));
    const refused = new Promise((_, reject) => (this.onError = reject));
    try {
      return await Promise.race([promise, late, refused, this.gone]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the session. */
  close() {
    this.peer?.close();
    this.screen?.close();
    if (!this.socket) return;
    this.socket.onclose = this.socket.onmessage = null;
    if (this.socket.readyState === WebSocket.OPEN) this.post({ type: 'bye', reason: 'preflight is over' });
    this.socket.close(1000);
  }
}

async function pageServed() {
  if (!window.isSecureContext) throw new Failed(`${location.origin} is not a secure context`, 'Use https:// (or localhost): without it browsers give pages no WebCodecs, so that pictures over the WebSocket are JPEG.');
  return location.origin;
}

async function serverAlive() {
  const answer = await ask('/healthz');
  if (answer.status !== 200) throw new Failed(`/healthz answered ${answer.status}`, 'Look at the server’s log, and at the proxy in front of it.');
  return 'answers /healthz';
}

async function worldsReady(visit) {
  const answer = await ask('/readyz');
  const { worlds } = await answer.json();
  const names = Object.keys(worlds);
  const open = names.filter((name) => worlds[name].ready);
  const shut = names.filter((name) => !worlds[name].ready).map((name) => `${name}: ${worlds[name].trouble || 'is still waking up'}`);
  if (shut.length > 0) {
    visit.world ??= open[0];
    throw new Failed(shut.join('; '), open.length ? `${open.join(', ')} can be entered.` : 'Wait a moment and run again; if it stays so, the server’s log says why.');
  }
  return names.join(', ');
}

async function socketOpens(visit) {
  const hello = { type: 'hello', protocol: 1, world: visit.world, video: 'webrtc', token: visit.token };
  const opened = new Promise((resolve) => {
    visit.welcoming = openSocket(undefined, hello, undefined, undefined, resolve);
  });
  visit.welcoming.catch(() => {}); // the next step hears it
  const first = await visit.within(ANSWER, Promise.race([opened, visit.welcoming.catch(() => 'refused')]), noSocket);
  if (first === 'refused') throw noSocket();
  return 'open';
}

function noSocket() {
  return new Failed('the WebSocket at /v1/session does not open', 'Let the proxy pass WebSocket upgrades; add this page’s address to the server’s `origins` if it is another one.');
}

async function helloAnswered(visit) {
  try {
    const { socket, welcome } = await visit.welcoming;
    visit.listen(socket);
    visit.welcome = welcome;
    return `${welcome.world.name}, ${welcome.world.width}x${welcome.world.height}`;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const remedy = { unauthorized: 'Open this page with ?token= and a token of `worldloom token`.', busy: 'Every place is taken: run again in a moment, or raise `max_sessions`.' };
    throw new Failed(`${error.code}: ${error.message}`, remedy[error.code] ?? 'The server’s log says more.');
  }
}

async function offerAnswered(visit) {
  if (typeof RTCPeerConnection === 'undefined') throw new Failed('this browser has no WebRTC', 'Allow WebRTC in the browser’s settings or extensions; pictures go over the WebSocket meanwhile.');
  const { welcome } = visit;
  const ice = { iceServers: welcome.ice_servers ?? [], iceTransportPolicy: welcome.relay_only ? 'relay' : 'all' };
  visit.picture = new Promise((resolve, reject) => {
    const onFailed = () => reject(noPath());
    visit.peer = new WebRtcVideo(visit.video, ice, { send: (message) => visit.post(message), onShown: () => {}, onBytes: () => {}, onPicture: resolve, onFailed });
  });
  visit.picture.catch(() => {}); // a later step hears it
  visit.gathered = gathering(visit.peer.peer, visit.candidates);
  const answered = new Promise((resolve) => {
    visit.onJson = (message) => {
      if (!['answer', 'candidate', 'frame'].includes(message.type)) return;
      visit.peer.hear(message);
      if (message.type === 'answer') resolve(message.sdp);
    };
  });
  await visit.peer.start();
  const sdp = await visit.within(ANSWER, answered, () => new Failed('the server did not answer the offer', 'The server’s log says why.'));
  return `${/a=rtpmap:\d+ (H264|VP8)/.exec(sdp)?.[1] ?? 'no codec'}, ${kinds(sdp.matchAll(/ typ (\w+)/g))} on the server’s side`;
}

/** Resolves when the browser has found its addresses. */
function gathering(peer, found) {
  return new Promise((resolve) => {
    peer.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate === null) resolve();
      else if (candidate.type) found.add(candidate.type);
    });
  });
}

function kinds(matches) {
  return [...new Set([...matches].map((match) => match[1]))].join(', ') || 'no addresses';
}

async function candidatesGathered(visit) {
  const nothing = () => new Failed('the browser found no address', 'A setting, policy or extension keeps WebRTC from using UDP: allow it, or set `turn` on the server.');
  await visit.within(GATHER, visit.gathered, nothing).catch((error) => {
    if (visit.candidates.size === 0) throw error; // a slow STUN server is no reason to stop
  });
  if (visit.candidates.size === 0) throw nothing();
  return [...visit.candidates].sort().join(', ');
}

async function iceConnected(visit) {
  const { peer } = visit.peer;
  const done = () => ['connected', 'completed'].includes(peer.iceConnectionState);
  const connected = new Promise((resolve) => {
    if (done()) resolve();
    peer.addEventListener('iceconnectionstatechange', () => done() && resolve());
  });
  await visit.within(CONNECT, Promise.race([connected, visit.picture]), noPath);
  return chosenPair(await peer.getStats());
}

function noPath() {
  return new Failed('no path between the two was found', 'Let UDP through the firewall between browser and server, or set `stun` and `turn` in [webrtc.ice].');
}

/** The pair of addresses in use, in words. */
function chosenPair(report) {
  const entries = new Map([...report.values()].map((entry) => [entry.id, entry]));
  const transport = [...entries.values()].find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  const pair = entries.get(transport?.selectedCandidatePairId) ?? [...entries.values()].find((entry) => entry.type === 'candidate-pair' && entry.nominated);
  if (!pair) return 'connected';
  const [ours, theirs] = [entries.get(pair.localCandidateId), entries.get(pair.remoteCandidateId)];
  const words = (one) => (one ? `${one.candidateType} ${one.address ?? 'hidden'}:${one.port} ${one.protocol}` : 'unknown');
  return `${words(ours)} → ${words(theirs)}`;
}

async function pictureDecoded(visit) {
  const remedy = 'Packets arrive and none becomes a picture: update the browser, or try `codecs = ["vp8"]` on the server.';
  await visit.within(PICTURE, visit.picture, () => new Failed('no picture', remedy));
  return `${visit.video.videoWidth}x${visit.video.videoHeight}`;
}

async function websocketVideo(visit) {
  visit.peer?.close();
  visit.peer = null;
  const ask = (format) => visit.post({ type: 'view', video: 'websocket', format });
  let format = await bestFormat();
  const shown = new Promise((resolve) => {
    const onBroken = () => ask((format = 'jpeg')); // WebCodecs promised more than it keeps
    visit.screen = new CanvasVideo(visit.canvas, resolve, onBroken);
  });
  visit.onPicture = (frame) => visit.screen.put(frame, performance.now());
  ask(format);
  const hidden = () => (document.hidden ? 'Bring this tab to the front: a hidden page draws nothing.' : 'The server’s log says more.');
  await visit.within(PICTURE, shown, () => new Failed('no picture', hidden()));
  return format === 'h264' ? 'H.264 by WebCodecs' : 'JPEG';
}

/** @returns {Promise<Response>} */
async function ask(path) {
  try {
    return await fetch(path, { signal: AbortSignal.timeout(ANSWER) });
  } catch (error) {
    throw new Failed(`${path} cannot be reached: ${error.message}`, 'Is the server still running?');
  }
}

/** In order; a step is skipped when one that it needs has failed. */
export const STEPS = [
  { id: 'page', title: 'Page served, secure context', needs: [], check: pageServed },
  { id: 'alive', title: 'Server alive', needs: [], check: serverAlive },
  { id: 'ready', title: 'Worlds ready', needs: ['alive'], check: worldsReady },
  { id: 'socket', title: 'WebSocket opens', needs: ['alive'], check: socketOpens },
  { id: 'hello', title: 'Hello answered', needs: ['socket'], check: helloAnswered },
  { id: 'offer', title: 'WebRTC offer answered', needs: ['hello'], check: offerAnswered },
  { id: 'candidates', title: 'ICE candidates gathered', needs: ['offer'], check: candidatesGathered },
  { id: 'ice', title: 'ICE connected', needs: ['candidates'], check: iceConnected },
  { id: 'picture', title: 'First picture decoded', needs: ['ice'], check: pictureDecoded },
  { id: 'websocket-video', title: 'Video over the WebSocket', needs: ['hello'], check: websocketVideo },
];
