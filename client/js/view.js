/**
 * Which way the pictures come, and when to change it: WebRTC where there is a path, else the WebSocket, without the
 * world noticing. When WebRTC finds no path, fails, or its pictures stop while the server goes on sending, the pictures
 * come over the WebSocket; from then on WebRTC is tried again now and then, and taken as soon as it shows a picture.
 *
 * Knows both transports and the meter; nothing of sockets or controls.
 */

import { CanvasVideo, bestFormat } from './canvas.js';
import { Display, DRAWING } from './display.js';
import { WebRtcVideo } from './webrtc.js';

/** How long WebRTC may take to show a first frame, ms. */
const FIRST_FRAME = 5000;
/** How long it may look for a path after the server's answer, ms: it takes a few round trips, or UDP is blocked. */
const PATH = 2000;
/** Pictures stopped when none was shown for so long, though the server sent some, ms. */
const STALLED = 2000;
/** How often to look for that, ms. */
const WATCH_EVERY = 250;
/** Between two attempts to return to WebRTC, ms. */
const RETURN_EVERY = 10000;

/** @typedef {'webrtc' | 'websocket' | 'none'} Transport */
/** @typedef {import('./protocol.js').FrameMessage | import('./protocol.js').AnswerMessage | import('./protocol.js').CandidateMessage} Signal */
/** @typedef {{video: HTMLVideoElement, canvas: HTMLCanvasElement}} Screens */

export class View {
  /**
   * @param {{video?: HTMLVideoElement, canvas?: HTMLCanvasElement, transport?: 'auto' | Transport}} options
   * @param {import('./meter.js').Meter} meter is told of every frame
   * @param {object} calls
   * @param {(message: import('./protocol.js').ClientMessage) => void} calls.post to the server
   * @param {(transport: Transport) => void} calls.onFlowing pictures come this way from now on
   * @param {(spareMs: number, periodMs: number) => void} calls.onSpare one over WebRTC came so early for the display's beat
   * @param {(why: string) => void} calls.onDead no way is left that the page allows
   */
  constructor(options, meter, calls) {
    this.wish = options.transport ?? 'auto';
    const { video, canvas } = /** @type {Screens} */ (options);
    if (this.wish !== 'none' && !(this.wish === 'webrtc' || canvas)) throw new TypeError('expected a <canvas> to show pictures on');
    if (['auto', 'webrtc'].includes(this.wish) && !video) throw new TypeError('expected a <video> to show WebRTC in');
    this.video = video;
    this.canvas = canvas;
    this.meter = meter;
    this.calls = calls;
    this.dropped = 0; // frames that transports given up had dropped
    this.display = new Display();
    /** @type {Transport} */
    this.transport = this.wish === 'websocket' || typeof RTCPeerConnection === 'undefined' ? 'websocket' : 'webrtc';
    if (this.wish === 'none') this.transport = 'none';
    /** @type {'jpeg' | 'h264' | undefined} */
    this.format = undefined; // of pictures over the WebSocket
    /** @type {RTCConfiguration} */
    this.ice = { iceServers: [] };
    /** @type {CanvasVideo | WebRtcVideo | null} */
    this.picture = null; // the transport that shows
    /** @type {WebRtcVideo | null} */
    this.trial = null; // WebRTC, while it is tried again
    /** @type {Set<ReturnType<typeof setTimeout>>} */
    this.timers = new Set();
    this.shownMs = 0; // when a picture was shown last
    this.factMs = 0; // when the server said last that it sent one
  }

  /** The `view` that this page wants now. */
  async asked() {
    if (this.transport === 'websocket') this.format = await bestFormat();
    return { video: this.transport, format: this.format };
  }

  /** The session is open, for the first time or again: pictures are to come as `asked` said. */
  begin() {
    this.stop();
    if (this.transport === 'webrtc') this.startWebRtc();
    else if (this.transport === 'websocket') this.startWebSocket();
  }

  /** Signalling, and facts about frames. @param {Signal} message */
  hear(message) {
    if (message.type === 'frame') this.factMs = performance.now();
    (this.trial ?? this.picture)?.hear(message);
  }

  /** A binary message. @param {import('./canvas.js').WireFrame} frame @param {number} nowMs */
  see(frame, nowMs) {
    if (this.picture instanceof CanvasVideo) this.picture.put(frame, nowMs);
  }

  /** Frames that this page received and did not show. */
  get replaced() {
    return this.dropped + (this.picture?.dropped ?? 0);
  }

  close() {
    this.stop();
  }

  stop() {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.dropped = this.replaced;
    this.picture?.close();
    this.trial?.close();
    this.picture = this.trial = null;
  }

  /** @param {number} ms @param {() => void} call */
  after(ms, call) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      call();
    }, ms);
    this.timers.add(timer);
  }

  reveal() {
    const webrtc = this.transport === 'webrtc';
    this.video.hidden = !webrtc;
    this.canvas.hidden = webrtc;
  }

  startWebRtc() {
    this.reveal();
    let flowing = false;
    const peer = this.openPeer(() => {
      flowing = true;
      this.flow('webrtc');
      this.watch();
    }, (why) => this.fallBack(why));
    this.picture = peer;
    this.after(FIRST_FRAME, () => flowing || this.fallBack('no picture'));
    if (this.wish !== 'auto') return;
    // Where pictures flow there is a path, though it may be broken for a moment just now.
    const look = () => this.picture === peer && !flowing && !peer.reaches && this.fallBack('no path');
    peer.answered.then(() => this.after(PATH, look));
  }

  startWebSocket() {
    this.reveal();
    let flowing = false;
    const onShown = (/** @type {import('./meter.js').Shown} */ shown) => {
      this.meter.shown(shown);
      if (!flowing) this.flow('websocket');
      flowing = true;
    };
    const onBroken = () => {
      this.format = 'jpeg';
      this.calls.post({ type: 'view', video: 'websocket', format: 'jpeg' });
    };
    this.picture = new CanvasVideo(this.canvas, onShown, onBroken);
    if (this.wish === 'auto' && typeof RTCPeerConnection !== 'undefined') this.after(RETURN_EVERY, () => this.tryAgain());
  }

  /** @param {() => void} onPicture @param {(why: string) => void} onFailed */
  openPeer(onPicture, onFailed) {
    this.display.measure();
    const peer = new WebRtcVideo(this.video, this.ice, {
      send: (message) => this.calls.post(message),
      onShown: (shown) => {
        this.shownMs = performance.now();
        if (this.transport !== 'webrtc') return;
        this.meter.shown(shown);
        this.calls.onSpare(shown.shownMs - (shown.drawnMs ?? shown.shownMs) - DRAWING, this.display.periodMs);
      },
      onBytes: (bytes) => this.meter.arrived(bytes, performance.now()),
      onPicture,
      onFailed: () => onFailed('no path'),
    }, this.display);
    peer.start().catch((error) => onFailed(error.message));
    return peer;
  }

  /** @param {Transport} transport */
  flow(transport) {
    this.shownMs = performance.now();
    this.calls.onFlowing(transport);
  }

  /** Notices that pictures stopped while the server says that it sends them. A hidden page shows none. */
  watch() {
    this.after(WATCH_EVERY, () => {
      const nowMs = performance.now();
      const sending = nowMs - this.factMs < 1000;
      if (document.hidden || !sending) this.shownMs = Math.max(this.shownMs, nowMs - STALLED / 2);
      if (nowMs - this.shownMs > STALLED) this.fallBack('pictures stopped');
      else if (this.transport === 'webrtc') this.watch();
    });
  }

  /** WebRTC does not work now: pictures over the WebSocket, of the same world. @param {string} why */
  async fallBack(why) {
    if (this.transport === 'websocket') return;
    if (this.wish === 'webrtc') {
      this.stop();
      this.calls.onDead(why);
      return;
    }
    this.transport = 'websocket';
    this.stop();
    this.startWebSocket();
    this.calls.post({ type: 'view', ...(await this.asked()) });
  }

  /** A second chance for WebRTC, while pictures go on coming over the WebSocket. */
  tryAgain() {
    const giveUp = () => {
      if (this.trial === null || this.transport === 'webrtc') return;
      this.trial.close();
      this.trial = null;
      this.after(RETURN_EVERY, () => this.tryAgain());
    };
    this.trial = this.openPeer(() => this.comeBack(), giveUp);
    this.after(FIRST_FRAME, giveUp);
  }

  comeBack() {
    const peer = this.trial;
    this.trial = null;
    if (peer === null) return;
    this.stop();
    this.transport = 'webrtc';
    this.picture = peer;
    this.reveal();
    this.calls.post({ type: 'view', video: 'webrtc' });
    this.flow('webrtc');
    this.watch();
  }
}
