/**
 * Time as a tool: buttons that go back, keep a moment, and open a second world beside the first that goes its own way.
 *
 * Whichever picture has the keyboard is the one that is driven. Knows one world at a time and its own part of the page.
 */

import { Refused, captureInput, connect } from './js/worldloom.js';
import { say } from './curtain.js';

/** How long a word about what went wrong stays, ms. */
const TOLD = 2500;

/** How to say a refusal here. */
const TROUBLE = {
  out_of_reach: 'Not that far back',
  unknown_snapshot: 'That moment is gone',
  busy: 'No place for another world',
  replay: 'No replay yet',
};

const byId = (id) => document.getElementById(id);

let world = null; // the one that is shown large
let kept = null; // name of its snapshot
let beside = null; // {world, capture} of the one that goes another way
let opening = 0; // counts what-ifs, so that an overtaken one gives up

/** A world is open: its past is offered. */
export function offerTime(opened) {
  world = opened;
  kept = null;
  byId('time').hidden = world.role === 'watch';
  byId('back-short').disabled = byId('back-long').disabled = world.reach === 0;
  byId('restore').disabled = true;
}

/** It is open no more. */
export function endTime() {
  closeBeside();
  world = null;
  byId('time').hidden = true;
}

function tell(code) {
  const { state } = byId('link').dataset;
  const before = byId('link-text').textContent;
  const text = TROUBLE[code] ?? 'That did not work';
  say('waiting', text);
  setTimeout(() => byId('link-text').textContent === text && say(state, before), TOLD);
}

/** Does something that may be refused, and says so. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    tell(error instanceof Refused ? error.code : 'unknown');
  }
}

async function keep() {
  const receipt = await world.snapshot();
  kept = receipt.snapshot;
  byId('restore').disabled = false;
}

function closeBeside() {
  opening += 1;
  beside?.capture.stop();
  beside?.world.close();
  beside = null;
  byId('other').hidden = true;
  byId('what-if').setAttribute('aria-pressed', 'false');
}

/** The same moment once more, in a picture of its own. */
async function whatIf() {
  if (beside) return closeBeside();
  closeBeside();
  const mine = opening;
  const { fork } = await world.fork();
  const { transport } = world.options; // and no token: the fork's own is enough
  const other = await connect({ resume: fork, video: byId('other-video'), canvas: byId('other-canvas'), transport });
  if (mine !== opening) return other.close();
  const stage = byId('other-stage');
  beside = { world: other, capture: captureInput(other, stage) };
  stage.style.setProperty('--shape', `${other.info.width} / ${other.info.height}`);
  byId('other').hidden = false;
  byId('what-if').setAttribute('aria-pressed', 'true');
  other.addEventListener('closed', closeBeside);
  other.resume();
  return stage.focus({ preventScroll: true });
}

/** What replays this session, as a file. */
async function download() {
  const answer = await fetch('/v1/replay', { headers: { authorization: `Bearer ${world.tokens.resume}` } });
  if (!answer.ok) throw new Refused('replay', 'the server has no replay of this session', true);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `${world.session}.wloom`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** After a click with the mouse the keys go on driving. */
function onClick(id, work) {
  byId(id).addEventListener('click', (event) => {
    if (world) attempt(work);
    if (event.detail > 0 && id !== 'what-if') byId('stage').focus({ preventScroll: true });
  });
}

onClick('back-short', () => world.rewind(2));
onClick('back-long', () => world.rewind(10));
onClick('keep', keep);
onClick('restore', () => world.restore(kept));
onClick('what-if', whatIf);
onClick('replay', download);
byId('other-stage').addEventListener('pointerdown', () => byId('other-stage').focus({ preventScroll: true }));

// For tests and curious people.
window.worldloomBeside = () => beside?.world ?? null;
