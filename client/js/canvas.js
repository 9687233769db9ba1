/**
 * Pictures that came over the WebSocket -> a canvas. The newest picture wins; one that is late is dropped and counted.
 * Pictures of a codec are decoded by WebCodecs, every one of them and in order, for each builds on the one before.
 *
 * Knows the binary frame message and a canvas, nothing of sockets or controls. The layout of the header is in
 * `streamer/wire.py`; a test reads both.
 */

export const HEADER_BYTES = 48;
const [RAW, JPEG, H264, VP8] = [0, 1, 2, 3];
/** @type {Record<number, string>} */
const CODECS = { [H264]: 'avc1.42E01F', [VP8]: 'vp8' };
const KEY = 1; // flag: decodable without the pictures before
/** Pictures of fewer pixels are drawn doubled, pixel by pixel: the page's smooth scaling then keeps their edges crisp. */
const SMALL = 256 * 256;

/**
 * @typedef {object} WireFrame
 * @property {number} index
 * @property {number} applied last control that shaped it, 0 for none
 * @property {number} width
 * @property {number} height
 * @property {number} format 0 RGB bytes, 1 JPEG, 2 H.264, 3 VP8
 * @property {boolean} key decodable without the pictures before
 * @property {number} compute ms that the world took
 * @property {number} age ms from sampling the controls to packing
 * @property {Uint8Array<ArrayBuffer>} payload
 */
/** @typedef {{frame: WireFrame, receivedMs: number}} Arrived */

/**
 * Reads one binary message.
 * @param {ArrayBuffer} buffer
 * @returns {WireFrame}
 */
export function unpackFrame(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getUint32(0) !== 0x574c4631 || view.getUint8(4) !== 1) {
    throw new Error(`expected a frame message "WLF1" version 1, got ${buffer.byteLength} other bytes`);
  }
  const length = view.getUint32(12, true);
  if (buffer.byteLength !== HEADER_BYTES + length) {
    throw new Error(`expected a picture of ${length} bytes, got ${buffer.byteLength - HEADER_BYTES}`);
  }
  return {
    format: view.getUint8(5),
    key: Boolean(view.getUint16(6, true) & KEY),
    width: view.getUint16(8, true),
    height: view.getUint16(10, true),
    index: Number(view.getBigUint64(16, true)),
    applied: Number(view.getBigUint64(32, true)),
    compute: view.getUint32(40, true) / 1000,
    age: view.getUint32(44, true) / 1000,
    payload: new Uint8Array(buffer, HEADER_BYTES, length),
  };
}

/** The format that this browser shows with the fewest bytes: H.264 where WebCodecs decodes it, else JPEG. */
export async function bestFormat() {
  if (typeof VideoDecoder === 'undefined') return 'jpeg';
  const { supported } = await VideoDecoder.isConfigSupported({ codec: CODECS[H264] }).catch(() => ({ supported: false }));
  return supported ? 'h264' : 'jpeg';
}

/** Draws frames on a canvas, in order, at most one an animation frame. */
export class CanvasVideo {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(shown: import('./meter.js').Shown) => void} onShown
   * @param {() => void} [onBroken] the browser cannot decode this codec after all
   */
  constructor(canvas, onShown, onBroken = () => {}) {
    this.canvas = canvas;
    this.onShown = onShown;
    this.onBroken = onBroken;
    /** @type {VideoDecoder | null} */
    this.decoder = null; // of the codec that comes now
    /** @type {number | null} */
    this.codec = null; // its format
    /** @type {Map<number, Arrived>} */
    this.coded = new Map(); // number -> frame that is being decoded
    this.dropped = 0;
    this.decoding = false;
    /** @type {Arrived | null} */
    this.waiting = null; // newest frame that arrived while another was being decoded
    /** @type {Arrived & {picture: ImageBitmap | VideoFrame} | null} */
    this.ready = null; // decoded, to be drawn at the next animation frame
    this.closed = false;
    this.request = 0; // the animation frame that is asked for
  }

  /** A binary message arrived. @param {WireFrame} frame @param {number} receivedMs */
  put(frame, receivedMs) {
    if (frame.format in CODECS) {
      this.decode(frame, receivedMs);
      return;
    }
    if (this.waiting) this.dropped += 1;
    this.waiting = { frame, receivedMs };
    if (!this.decoding) this.decodeWaiting();
  }

  /** One picture of a codec. @param {WireFrame} frame @param {number} receivedMs */
  decode(frame, receivedMs) {
    if (this.codec !== frame.format) {
      if (!frame.key) return;
      this.openDecoder(frame.format);
    }
    if (this.decoder?.state !== 'configured') return;
    this.coded.set(frame.index, { frame, receivedMs });
    this.decoder.decode(new EncodedVideoChunk({ type: frame.key ? 'key' : 'delta', timestamp: frame.index, data: frame.payload }));
  }

  /** @param {number} format */
  openDecoder(format) {
    this.closeDecoder();
    this.codec = format;
    this.decoder = new VideoDecoder({
      output: (picture) => {
        const item = this.coded.get(picture.timestamp);
        this.coded.delete(picture.timestamp);
        if (this.closed || !item) picture.close();
        else this.schedule({ ...item, picture });
      },
      error: () => this.closed || this.onBroken(),
    });
    this.decoder.configure({ codec: CODECS[format], optimizeForLatency: true });
  }

  closeDecoder() {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = null;
    this.coded.clear();
  }

  /** Signalling, which pictures over the WebSocket need none of. */
  hear() {}

  close() {
    this.closed = true;
    this.waiting = null;
    this.closeDecoder();
    cancelAnimationFrame(this.request);
    this.ready?.picture.close();
    this.ready = null;
  }

  async decodeWaiting() {
    this.decoding = true;
    try {
      while (this.waiting && !this.closed) {
        const { frame, receivedMs } = this.waiting;
        this.waiting = null;
        const picture = await decodePicture(frame);
        if (this.closed) return picture.close();
        this.schedule({ frame, receivedMs, picture });
      }
    } finally {
      this.decoding = false;
    }
  }

  /** @param {Arrived & {picture: ImageBitmap | VideoFrame}} item */
  schedule(item) {
    if (this.ready) {
      this.dropped += 1;
      this.ready.picture.close();
    } else {
      this.request = requestAnimationFrame(() => this.draw());
    }
    this.ready = item;
  }

  draw() {
    if (!this.ready) return;
    const { frame, receivedMs, picture } = this.ready;
    this.ready = null;
    const scale = frame.width * frame.height < SMALL ? 2 : 1; // a codec's pictures come doubled already
    const [width, height] = [frame.width * scale, frame.height * scale];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext('2d', { alpha: false });
    if (!context) throw new Error('expected a canvas that nobody else draws on');
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, width, height);
    picture.close();
    const { index, compute, age } = frame;
    // What is drawn now is composited with this animation frame and seen, at the earliest, when the next one begins.
    const drawnMs = performance.now();
    requestAnimationFrame((shownMs) => this.closed || this.onShown({ index, compute, age, count: 1, receivedMs, drawnMs, shownMs }));
  }
}

/** @param {WireFrame} frame @returns {Promise<ImageBitmap>} */
function decodePicture(frame) {
  if (frame.format === JPEG) return createImageBitmap(new Blob([frame.payload], { type: 'image/jpeg' }));
  const rgba = new Uint8ClampedArray(frame.width * frame.height * 4).fill(255);
  for (let pixel = 0, byte = 0; byte < frame.payload.length; pixel += 4, byte += 3) {
    rgba[pixel] = frame.payload[byte];
    rgba[pixel + 1] = frame.payload[byte + 1];
    rgba[pixel + 2] = frame.payload[byte + 2];
  }
  return createImageBitmap(new ImageData(rgba, frame.width, frame.height));
}
