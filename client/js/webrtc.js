/**
 * Video over WebRTC -> a <video> element, and when each frame was really presented.
 *
 * The offer leaves at once: candidates follow as they are found, so no second is lost on gathering them. The browser
 * names a frame by its RTP timestamp; the server's `frame` message joins that to the frame's number, and either may come first.
 *
 * Knows a peer connection and a video element, nothing of sockets: it is given a `send` for signalling.
 */

import { Display } from './display.js';
import { Recent } from './meter.js';

/** How often the received bytes are read off, in ms. */
const STATS_EVERY = 1000;
/** Frames that wait for the other half of what is known about them; more are dropped, oldest first. */
const UNJOINED = 128;

/** @typedef {import('./protocol.js').CandidateMessage} Candidate */
/** @typedef {Pick<import('./meter.js').Shown, 'count' | 'receivedMs' | 'drawnMs' | 'shownMs'>} Presented */

export class WebRtcVideo {
  /**
   * @param {HTMLVideoElement} video
   * @param {RTCConfiguration} config STUN and TURN servers, as the server names them
   * @param {object} calls
   * @param {(message: import('./protocol.js').ClientMessage) => void} calls.send signalling to the server
   * @param {(shown: import('./meter.js').Shown) => void} calls.onShown
   * @param {(bytes: number) => void} calls.onBytes payload that arrived since the call before
   * @param {() => void} calls.onPicture the first picture is there
   * @param {() => void} calls.onFailed no path, or the path is gone
   * @param {Display} [display]
   */
  constructor(video, config, calls, display = new Display()) {
    this.video = video;
    this.display = display;
    this.calls = calls;
    this.dropped = 0; // frames that we gave up ourselves: none, the browser decides
    this.presentedFrames = 0;
    this.bytes = 0;
    this.peer = new RTCPeerConnection(config);
    this.listening = new AbortController();
    this.onAnswered = () => {};
    this.answered = new Promise((resolve) => (this.onAnswered = () => resolve(undefined)));
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    /** @type {number | undefined} */
    this.callback = undefined;
    /** @type {Recent<number, import('./protocol.js').FrameMessage>} */
    this.infos = new Recent(UNJOINED); // RTP timestamp -> the server's `frame` message
    /** @type {Recent<number, Presented>} */
    this.presented = new Recent(UNJOINED); // RTP timestamp -> when it was shown
  }

  async start() {
    const { peer, video, calls } = this;
    const { signal } = this.listening;
    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addEventListener('track', ({ track }) => {
      video.srcObject = new MediaStream([track]);
      video.play().catch(() => {}); // muted, so refused only while the page is hidden; it starts when shown
    }, { signal });
    peer.addEventListener('connectionstatechange', () => peer.connectionState === 'failed' && calls.onFailed(), { signal });
    video.addEventListener('loadeddata', () => calls.onPicture(), { signal, once: true });
    const offer = await peer.createOffer();
    // Sent before it is applied: gathering, and with it the first candidate, begins only when it is applied.
    calls.send({ type: 'offer', sdp: offer.sdp ?? '' });
    peer.addEventListener('icecandidate', ({ candidate }) => candidate && calls.send(wireCandidate(candidate)), { signal });
    await peer.setLocalDescription(offer);
    this.watchFrames();
    this.timer = setInterval(() => this.readBytes(), STATS_EVERY);
  }

  /** Signalling from the server, and what it says about frames. @param {import('./view.js').Signal} message */
  hear(message) {
    if (message.type === 'frame') this.frame(message);
    else if (message.type === 'answer') this.answer(message.sdp).catch(this.calls.onFailed);
    else this.candidate(message).catch(this.calls.onFailed);
  }

  /** The server's answer. @param {string} sdp */
  async answer(sdp) {
    await this.peer.setRemoteDescription({ type: 'answer', sdp });
    this.onAnswered();
  }

  /** Packets find a way to the server and back. */
  get reaches() {
    return ['connected', 'completed'].includes(this.peer.iceConnectionState);
  }

  /** One more address of the server; it may come before the answer that it belongs to. @param {Candidate} told */
  async candidate({ candidate, sdp_mid: sdpMid, sdp_mline_index: sdpMLineIndex }) {
    await this.answered;
    await this.peer.addIceCandidate(candidate ? { candidate, sdpMid, sdpMLineIndex } : undefined);
  }

  /** What the server says about a frame. @param {import('./protocol.js').FrameMessage} info */
  frame(info) {
    const rtp = info.rtp_timestamp;
    if (rtp === undefined) return;
    const presented = this.presented.take(rtp);
    if (presented) this.report(info, presented);
    else this.infos.set(rtp, info);
  }

  close() {
    clearInterval(this.timer);
    this.listening.abort();
    if (this.callback !== undefined) this.video.cancelVideoFrameCallback(this.callback);
    this.peer.close();
    this.video.srcObject = null;
  }

  watchFrames() {
    if (!this.video.requestVideoFrameCallback) return;
    /** @type {VideoFrameRequestCallback} */
    const onFrame = (nowMs, metadata) => {
      this.callback = this.video.requestVideoFrameCallback(onFrame);
      const count = this.presentedFrames === 0 ? 1 : Math.max(1, metadata.presentedFrames - this.presentedFrames);
      this.presentedFrames = metadata.presentedFrames;
      const drawnMs = metadata.presentationTime;
      const shownMs = this.display.seen(drawnMs, nowMs);
      const presented = { count, receivedMs: metadata.receiveTime ?? nowMs, drawnMs, shownMs };
      const rtp = metadata.rtpTimestamp; // absent in browsers that do not tell
      const info = rtp === undefined ? undefined : this.infos.take(rtp);
      if (info || rtp === undefined) this.report(info, presented);
      else this.presented.set(rtp, presented);
    };
    this.callback = this.video.requestVideoFrameCallback(onFrame);
  }

  /** @param {import('./protocol.js').FrameMessage | undefined} info @param {Presented} presented */
  report(info, presented) {
    this.calls.onShown({ index: info?.index ?? null, compute: info?.compute_ms, age: info?.age_ms, ...presented });
  }

  async readBytes() {
    const report = await this.peer.getStats();
    for (const entry of report.values()) {
      if (entry.type !== 'inbound-rtp' || entry.kind !== 'video') continue;
      this.calls.onBytes(entry.bytesReceived - this.bytes);
      this.bytes = entry.bytesReceived;
    }
  }
}

/** @param {RTCIceCandidate} found @returns {Candidate} */
function wireCandidate({ candidate, sdpMid, sdpMLineIndex }) {
  return { type: 'candidate', candidate, sdp_mid: sdpMid ?? undefined, sdp_mline_index: sdpMLineIndex ?? undefined };
}
