/**
 * Which element shows the pictures, and by which way they come: the two transports behind one set of calls.
 *
 * Knows both transports and the meter; nothing of sockets or controls.
 */

import { CanvasVideo } from './canvas.js';
import { WebRtcVideo } from './webrtc.js';

/**
 * Shows one element, hides the other, and starts receiving.
 *
 * @param {'webrtc' | 'websocket'} transport
 * @param {{video: HTMLVideoElement, canvas: HTMLCanvasElement}} elements
 * @param {import('./meter.js').Meter} meter is told of every frame
 * @param {object} calls
 * @param {(message: object) => void} calls.send signalling to the server
 * @param {() => void} calls.onFlowing the first picture is there
 * @param {(why: string) => void} calls.onFailed pictures do not come this way
 * @returns {CanvasVideo | WebRtcVideo}
 */
export function openPicture(transport, { video, canvas }, meter, { send, onFlowing, onFailed }) {
  const webrtc = transport === 'webrtc';
  video.hidden = !webrtc;
  canvas.hidden = webrtc;
  if (webrtc) return startWebRtc(video, meter, { send, onFlowing, onFailed });
  let flowing = false;
  return new CanvasVideo(canvas, (shown) => {
    meter.shown(shown);
    if (!flowing) onFlowing();
    flowing = true;
  });
}

function startWebRtc(video, meter, { send, onFlowing, onFailed }) {
  const picture = new WebRtcVideo(video, {
    send,
    onShown: (shown) => meter.shown(shown),
    onBytes: (bytes) => meter.arrived(bytes, performance.now()),
    onPicture: onFlowing,
    onFailed: () => onFailed('no path'),
  });
  picture.start().catch((error) => onFailed(error.message));
  return picture;
}
