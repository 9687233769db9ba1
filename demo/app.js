/** The page: choose a world, open it, wire keys, sliders, buttons and figures to it, and say plainly what goes wrong. */

import { Bar } from './bar.js';
import { Refused, Replay, captureInput, connect, listWorlds } from './js/worldloom.js';
import { chosenWorld, drawChooser } from './chooser.js';
import { cover, coverWith, say, uncover } from './curtain.js';
import { forgetWalk, walkHere } from './links.js';
import { drawPads } from './pads.js';
import { drawKeys, drawLevers } from './panel.js';
import { endTime, offerTime } from './time.js';
import { drawScenes, takePictures } from './scenes.js';
import { Beside } from './beside.js';
import { showVitals } from './vitals.js';

const byId = (id) => document.getElementById(id);
const stage = byId('stage');
const query = new URLSearchParams(location.search);

/** Where a tab keeps its session while it is reloaded. */
const KEPT = 'worldloom.session';

/** A lost connection that is back within this many ms needs no words. */
const SOON = 1500;
/** How long news stand beside the dot, ms. */
const NEWS = 4000;

let world = null; // the open world
let replay = null; // the walk that is being walked again in it
let capture = null; // its input
let panel = null; // its keys, sliders and sticks
let opening = 0; // counts attempts, so that an overtaken one gives up

const beside = new Beside({ news });
const bar = new Bar({
  beside,
  get world() { return world; },
  get replay() { return replay; },
  anew,
  news,
  show: showPause,
});

function fail(why) {
  coverWith(why);
  bar.enable(false);
}

/** Something to know for a moment. */
function news(text, state = 'waiting') {
  say(state, text);
  setTimeout(showPause, NEWS);
}

/** Nothing on the page is about a world any more. @returns the one that was open */
function letGo() {
  const left = world;
  bar.letGo();
  beside.close();
  replay?.stop();
  panel?.pads.stop();
  capture?.stop();
  endTime();
  world = replay = capture = panel = null;
  return left;
}

/** The page goes away. If it is only being reloaded, the session goes on from where it was. */
function stepOut() {
  if (replay) return letGo()?.close(); // which begins again
  if (world?.tokens.resume) sessionStorage.setItem(KEPT, JSON.stringify({ world: world.world, resume: world.tokens.resume }));
  return letGo()?.leave();
}

/** The world begins anew. A world that walks a walk again is left for one that a clock paces. */
function anew(seed, image = world.info.images ? 'none' : undefined) {
  forgetWalk();
  if (replay) return enter(world.world, seed);
  panel?.levers.centre();
  return beside.open ? beside.show(world, seed) : world.reset(seed, image);
}

/** The token of the session that this tab had before it was reloaded, once. */
function kept(name) {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  const before = text ? JSON.parse(text) : null;
  return before?.world === name ? before.resume : undefined;
}

/** Opens a world and shows it; or goes on with the session of a token, or watches one, or walks a walk again. */
async function enter(name, seed, tokens = {}, walk = null) {
  const attempt = ++opening;
  letGo()?.close();
  bar.enable(false);
  cover('Waking the world', '', false);
  say('waiting', 'Connecting');
  try {
    const opened = await connect({
      world: name,
      seed,
      video: byId('video'),
      canvas: byId('canvas'),
      // Every frame of a walk is to be seen: nothing is left out on a WebSocket.
      ...(walk ? { mode: 'lockstep', prompt: walk.prompt } : {}),
      transport: query.get('transport') ?? (walk ? 'websocket' : 'auto'),
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
    if (walk) again(walk);
  } catch (error) {
    if (attempt === opening && tokens.resume && error.code === 'unknown_session') return enter(name, seed);
    if (attempt === opening) fail(error instanceof Refused ? error : { code: 'unknown', message: error.message });
  }
  return undefined;
}

/** Walks a walk again in the world that was opened for it; then whoever is here goes on. */
function again(walk) {
  replay = new Replay(world, walk.rows, {
    onEnd: (whole) => news(whole ? 'The walk ends here: drive on' : 'This walk cannot be walked on', whole ? 'live' : 'failed'),
  });
  byId('invite-text').textContent = 'Click to drive on from the end';
  replay.play();
}

/** The world is open: everything on the page is about it now. */
function settle(opened) {
  world = opened;
  const { info } = world;
  stage.style.setProperty('--shape', `${info.width} / ${info.height}`);
  stage.style.setProperty('--tall', `${info.width} / ${2 * info.height}`);
  byId('help').textContent = info.help;
  document.title = `${info.title || info.name} · Worldloom`;
  const watching = world.role === 'watch';
  stage.dataset.role = world.role;
  bar.settle(world);
  byId('invite-text').textContent = 'Click to drive';
  capture = watching ? null : captureInput(world, stage, {
    onHeld: (held) => panel.keys.held(held),
    onCapture: (captured) => (stage.dataset.captured = captured),
  });
  byId('keys').replaceChildren();
  byId('levers').replaceChildren();
  byId('pads').replaceChildren();
  panel = watching ? null : {
    keys: drawKeys(byId('keys'), world, capture),
    levers: drawLevers(byId('levers'), world),
    pads: drawPads(byId('pads'), world, capture),
  };
  drawScenes(watching ? null : world, (seed) => anew(seed));
  byId('keys-note').hidden = watching || Object.keys(info.actions.keys).length === 0;
  const looks = info.actions.look.some((axis) => axis !== null);
  byId('look-note').hidden = watching || !looks;
  stage.dataset.looks = looks; // a finger on the picture looks around, else it scrolls the page
  stage.dataset.captured = document.activeElement === stage;
  offerTime(world);
  bar.showSeed();
  showPause();
  bar.showRecording();
  listen();
}

function listen() {
  world.addEventListener('transport', () => {
    uncover();
    bar.enable(true);
    showPause();
  });
  world.addEventListener('receipt', ({ detail }) => {
    panel?.keys.receipt(detail);
    panel?.levers.receipt(detail);
    bar.showSeed();
    showPause();
    bar.showRecording();
  });
  world.addEventListener('stats', () => bar.showRecording());
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
    bar.showSeed();
    showPause();
  });
  world.addEventListener('closed', ({ detail }) => {
    clearTimeout(seeking);
    capture?.stop();
    fail(detail);
  });
}

function showPause() {
  if (!world || world.transport === 'none') return;
  const paused = bar.showPause();
  const live = replay?.replaying ? 'Walking a walk again' : 'Live';
  say(paused ? 'paused' : 'live', paused ? 'Paused' : world.role === 'watch' ? 'Watching' : live);
}

async function begin() {
  cover('Waking the world', '', false);
  say('waiting', 'Connecting');
  try {
    const worlds = await listWorlds();
    const walk = await walkHere();
    const wish = walk?.world ?? query.get('world');
    const chosen = worlds.some(({ name }) => name === wish) ? wish : worlds[0].name;
    drawChooser(worlds, chosen, (name) => {
      forgetWalk();
      enter(name);
    });
    if (walk && chosen === wish) return enter(chosen, walk.seed, {}, walk);
    if (walk) throw new Refused('unknown_world', `The link is about the world ${walk.world}, which is not served here.`, false);
    const watch = query.get('watch') ?? undefined;
    const resume = watch ? undefined : (query.get('resume') ?? kept(chosen));
    return enter(chosen, query.has('seed') ? Number(query.get('seed')) : undefined, { resume, watch });
  } catch (error) {
    return fail(error instanceof Refused ? error : { code: 'unreachable', message: error.message });
  }
}

function retry() {
  const name = chosenWorld();
  return name && !location.hash ? enter(name) : begin();
}

byId('retry').addEventListener('click', (event) => {
  event.stopPropagation();
  retry();
});
/** A picture that somebody brings: the world begins anew from there. */
async function bring(file) {
  if (!world || world.role === 'watch') return;
  try {
    if (!world.info.images) throw new Error('This world starts from no picture');
    if (replay) throw new Error('Choose a new dream first: this one follows a walk');
    beside.close();
    await world.startFrom(file);
  } catch (error) {
    news(error.message, 'failed');
  }
}

takePictures(bring);
stage.addEventListener('pointerdown', () => stage.focus({ preventScroll: true }));
window.addEventListener('pagehide', stepOut);
window.addEventListener('hashchange', () => location.hash && begin());
window.addEventListener('pageshow', (event) => event.persisted && retry());

// For tests, measurements and curious people: the open world, its name, its session and its figures.
window.worldloom = {
  get client() { return world; },
  get replay() { return replay; },
  get world() { return world?.world ?? null; },
  get session() { return world?.session ?? null; },
  get info() { return world?.info ?? null; },
  stats: () => world?.stats() ?? null,
  clearStats: () => world?.clearStats(),
};

showVitals(() => world);
begin();
