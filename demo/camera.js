/**
 * Keeps what is shown: one picture as PNG, or a film as WebM, made in the page. Both say that they are generated.
 *
 * Knows the two elements that show pictures; no session. A film is drawn from whichever of them shows, so it goes on
 * when the pictures come another way.
 */

/** A film ends by itself after so many ms. */
const LONGEST = 5 * 60 * 1000;
const BITRATE = 2_500_000;
/** Pictures of small worlds are kept at least this wide, pixels. */
const WIDE = 512;
const KINDS = ['video/webm;codecs=vp9', 'video/webm;codecs=vp8', 'video/webm'];

const byId = (id) => document.getElementById(id);

/** @param {import('./js/worldloom.js').World} world */
export function screenshot(world) {
  const sheet = sheetFor(world);
  draw(sheet, world);
  sheet.toBlob((blob) => blob && keep(blob, nameOf(world, 'png')), 'image/png');
}

/** Whether this browser can make films. */
export const canFilm = () => typeof MediaRecorder !== 'undefined' && KINDS.some((kind) => MediaRecorder.isTypeSupported(kind));

/**
 * Films from now on.
 * @param {import('./js/worldloom.js').World} world
 * @param {() => void} onEnd the film is kept, asked for or not
 * @returns {{stop: () => void}}
 */
export function film(world, onEnd) {
  const sheet = sheetFor(world);
  const name = nameOf(world, 'webm');
  const parts = [];
  const recorder = new MediaRecorder(sheet.captureStream(), {
    mimeType: KINDS.find((kind) => MediaRecorder.isTypeSupported(kind)), videoBitsPerSecond: BITRATE,
  });
  let request = 0;
  const roll = () => {
    draw(sheet, world);
    request = requestAnimationFrame(roll);
  };
  const stop = () => recorder.state !== 'inactive' && recorder.stop();
  const timer = setTimeout(stop, LONGEST);
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = () => {
    clearTimeout(timer);
    cancelAnimationFrame(request);
    recorder.stream.getTracks().forEach((track) => track.stop());
    keep(new Blob(parts, { type: recorder.mimeType.split(';')[0] }), name);
    onEnd();
  };
  roll();
  recorder.start(1000);
  return { stop };
}

function sheetFor({ info }) {
  const scale = Math.max(1, Math.ceil(WIDE / info.width));
  return Object.assign(document.createElement('canvas'), { width: info.width * scale, height: info.height * scale });
}

/** What is shown now, with words in its corner. */
function draw(sheet, { info }) {
  const shown = [byId('video'), byId('canvas')].find((element) => !element.hidden);
  const context = sheet.getContext('2d', { alpha: false });
  context.imageSmoothingQuality = 'high';
  context.drawImage(shown, 0, 0, sheet.width, sheet.height);
  const words = `✦ Generated video · Worldloom, ${info.name}`;
  context.font = '13px system-ui, sans-serif';
  context.fillStyle = '#0a0d12cc';
  context.fillRect(0, 0, context.measureText(words).width + 16, 24);
  context.fillStyle = '#e8ebf0';
  context.fillText(words, 8, 16);
}

function nameOf(world, kind) {
  return `worldloom-${world.world}-${world.seed}.${kind}`;
}

/** Gives a file to the person. */
function keep(blob, name) {
  const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
