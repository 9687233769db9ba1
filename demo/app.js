/** The page: choose a world, open it, wire keys, sliders, buttons and figures to it, and say plainly what goes wrong. */

import { Refused, captureInput, connect, listWorlds } from './js/worldloom.js';
import { cover, coverWith, say, uncover } from './curtain.js';
import { drawKeys, drawLevers } from './panel.js';
import { endTime, offerTime } from './time.js';
import { showVitals } from './vitals.js';

const byId = (id) => document.getElementById(id);
const stage = byId('stage');
const query = new URLSearchParams(location.search);

/** Where a tab keeps its session while it is reloaded. */
const KEPT = 'worldloom.session';

/** A lost connection that is back within this many ms needs no words. */
const SOON = 1500;

let world = null; // the open world
let capture = null; // its input
let panel = null; // its keys and sliders
let opening = 0; // counts attempts, so that an overtaken one gives up

function fail(why) {
  coverWith(why);
  enable(false);
}

function enable(on) {
  byId('pause').disabled = byId('reset').disabled = !on;
}

/** Nothing on the page is about a world any more. @returns the one that was open */
function letGo() {
  const left = world;
  capture?.stop();
  endTime();
  world = capture = panel = null;
  return left;
}

/** The page goes away. If it is only being reloaded, the session goes on from where it was. */
function stepOut() {
  if (world?.tokens.resume) sessionStorage.setItem(KEPT, JSON.stringify({ world: world.world, resume: world.tokens.resume }));
  letGo()?.leave();
}

/** The token of the session that this tab had before it was reloaded, once. */
function kept(name) {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  const before = text ? JSON.parse(text) : null;
  return before?.world === name ? before.resume : undefined;
}

/** Opens a world and shows it; or goes on with the session of a token, or watches one. */
async function enter(name, seed, tokens = {}) {
  const attempt = ++opening;
  letGo()?.close();
  enable(false);
  cover('Waking the world', '', false);
  say('waiting', 'Connecting');
  try {
    const opened = await connect({
      world: name,
      seed,
      video: byId('video'),
      canvas: byId('canvas'),
      transport: query.get('transport') ?? 'auto',
      token: query.get('token') ?? undefined,
      wait: true,
      onWaiting: ({ position, estimate_s: seconds }) => {
        const guess = seconds === undefined ? '' : ` Probably about ${Math.max(1, Math.round(seconds / 60))} min.`;
        if (attempt === opening) cover('All places are taken', `You are number ${position} in the line.${guess}`, false);
      },
      ...tokens,
    });
    if (attempt !== opening) return opened.close();
    settle(opened);
  } catch (error) {
    if (attempt === opening && tokens.resume && error.code === 'unknown_session') return enter(name, seed);
    if (attempt === opening) fail(error instanceof Refused ? error : { code: 'unknown', message: error.message });
  }
  return undefined;
}

/** The world is open: everything on the page is about it now. */
function settle(opened) {
  world = opened;
  const { info } = world;
  stage.style.setProperty('--shape', `${info.width} / ${info.height}`);
  byId('help').textContent = info.help;
  document.title = `${info.title || info.name} · Worldloom`;
  const watching = world.role === 'watch';
  stage.dataset.role = world.role;
  byId('share').hidden = watching || !world.tokens.watch;
  byId('pause').hidden = byId('reset').hidden = watching;
  byId('record').hidden = !world.canRecord;
  capture = watching ? null : captureInput(world, stage, {
    onHeld: (held) => panel.keys.held(held),
    onCapture: (captured) => (stage.dataset.captured = captured),
  });
  byId('keys').replaceChildren();
  byId('levers').replaceChildren();
  panel = watching ? null : { keys: drawKeys(byId('keys'), world, capture), levers: drawLevers(byId('levers'), world) };
  byId('keys-note').hidden = watching || Object.keys(info.actions.keys).length === 0;
  const looks = info.actions.look.some((axis) => axis !== null);
  byId('look-note').hidden = watching || !looks;
  stage.dataset.looks = looks; // a finger on the picture looks around, else it scrolls the page
  stage.dataset.captured = document.activeElement === stage;
  offerTime(world);
  showSeed();
  showPause();
  showRecording();
  listen();
}

function listen() {
  world.addEventListener('transport', () => {
    uncover();
    enable(true);
    showPause();
  });
  world.addEventListener('receipt', ({ detail }) => {
    panel?.keys.receipt(detail);
    panel?.levers.receipt(detail);
    showSeed();
    showPause();
    showRecording();
  });
  world.addEventListener('stats', showRecording);
  world.addEventListener('fault', ({ detail }) => detail.code.startsWith('recording') && say('waiting', 'Not recorded'));
  world.addEventListener('notice', ({ detail }) => {
    if (detail.code.startsWith('recording')) return say('waiting', 'The recording has ended');
    if (detail.code !== 'engine_lost') return say('waiting', `Ends in ${detail.seconds} s`);
    say('waiting', 'The engine starts anew');
    stale = true;
    return world.addEventListener('stats', showAgain);
  });
  let stale = false; // the next figures count frames from before the engine died
  const showAgain = ({ detail }) => {
    const still = stale || (detail.fps === 0 && !world.paused); // without an engine
    stale = false;
    if (still) return;
    world.removeEventListener('stats', showAgain);
    showPause();
  };
  let seeking = 0;
  world.addEventListener('lost', () => {
    say('waiting', 'Reconnecting');
    seeking = setTimeout(() => cover('The thread broke', 'Looking for the server. Your world waits there for a minute.', false), SOON);
  });
  world.addEventListener('back', () => {
    clearTimeout(seeking);
    uncover();
    capture?.releaseAll(); // the server let go of every key meanwhile
    showSeed();
    showPause();
  });
  world.addEventListener('closed', ({ detail }) => {
    clearTimeout(seeking);
    capture?.stop();
    fail(detail);
  });
}

function showSeed() {
  byId('seed').textContent = world?.seed ?? '–';
}

function showRecording() {
  byId('record').setAttribute('aria-pressed', Boolean(world?.recording));
  byId('recording').hidden = !world?.recording;
}

function showPause() {
  if (!world || world.transport === 'none') return;
  byId('pause').setAttribute('aria-pressed', world.paused);
  byId('pause').textContent = world.paused ? 'Go on' : 'Pause';
  const live = world.role === 'watch' ? 'Watching' : 'Live';
  say(world.paused ? 'paused' : 'live', world.paused ? 'Paused' : live);
}

/** One choice a world; nothing to choose from needs no chooser. */
function drawChooser(worlds, chosen) {
  const room = byId('worlds');
  for (const { name, title } of worlds) {
    const label = document.createElement('label');
    const radio = Object.assign(document.createElement('input'), { type: 'radio', name: 'world', value: name, checked: name === chosen });
    radio.addEventListener('change', () => enter(name));
    label.append(radio, Object.assign(document.createElement('span'), { textContent: name }));
    label.title = title;
    room.append(label);
  }
  room.hidden = worlds.length < 2;
}

async function begin() {
  cover('Waking the world', '', false);
  say('waiting', 'Connecting');
  try {
    const worlds = await listWorlds();
    const wish = query.get('world');
    const chosen = worlds.some(({ name }) => name === wish) ? wish : worlds[0].name;
    drawChooser(worlds, chosen);
    const watch = query.get('watch') ?? undefined;
    const resume = watch ? undefined : (query.get('resume') ?? kept(chosen));
    await enter(chosen, query.has('seed') ? Number(query.get('seed')) : undefined, { resume, watch });
  } catch (error) {
    fail(error instanceof Refused ? error : { code: 'unreachable', message: error.message });
  }
}

/** After a click with the mouse the keys go on driving; who came by keyboard stays where they are. */
function giveBack(event) {
  if (event.detail > 0) stage.focus({ preventScroll: true });
}

function retry() {
  const checked = document.querySelector('#worlds input:checked');
  return checked ? enter(checked.value) : begin();
}

byId('retry').addEventListener('click', (event) => {
  event.stopPropagation();
  retry();
});
byId('pause').addEventListener('click', (event) => {
  if (world?.paused) world.resume();
  else world?.pause();
  giveBack(event);
});
byId('record').addEventListener('click', (event) => {
  world?.record(!world.recording);
  giveBack(event);
});
byId('reset').addEventListener('click', (event) => {
  world?.reset(crypto.getRandomValues(new Uint32Array(1))[0], world.info.images ? 'none' : undefined);
  panel?.levers.centre();
  giveBack(event);
});
/** A picture that is dropped on the world: it begins anew from there. */
async function drop(event) {
  const [file] = event.dataTransfer?.files ?? [];
  if (!file || !world || world.role === 'watch') return;
  event.preventDefault();
  try {
    if (!world.info.images) throw new Error('This world starts from no picture');
    await world.startFrom(file);
  } catch (error) {
    say('failed', error.message);
    setTimeout(showPause, 4000);
  }
}

byId('share').addEventListener('click', async (event) => {
  const link = new URL(`/?watch=${world.tokens.watch}`, location.href).href;
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  if (!copied) window.prompt('Whoever opens this link sees what you see', link);
  else byId('share').textContent = 'Link copied';
  setTimeout(() => (byId('share').textContent = 'Share'), 2000);
  giveBack(event);
});
byId('fullscreen').addEventListener('click', () => stage.requestFullscreen?.().then(() => stage.focus()).catch(() => {}));
stage.addEventListener('dragover', (event) => event.preventDefault());
stage.addEventListener('drop', drop);
stage.addEventListener('pointerdown', () => stage.focus({ preventScroll: true }));
window.addEventListener('pagehide', stepOut);
window.addEventListener('pageshow', (event) => event.persisted && retry());

// For tests, measurements and curious people: the open world, its name, its session and its figures.
window.worldloom = {
  get client() { return world; },
  get world() { return world?.world ?? null; },
  get session() { return world?.session ?? null; },
  get info() { return world?.info ?? null; },
  stats: () => world?.stats() ?? null,
  clearStats: () => world?.clearStats(),
};

showVitals(() => world);
begin();
