/**
 * The preflight page: runs the steps of a visit one after another, names the one that fails and what to do about it,
 * and ends with how pictures will travel. The steps are in `checks.js`; this is their order and how they are shown.
 */

import { STEPS, Failed, Visit } from './checks.js';

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

const WORDS = { waiting: 'not yet', running: 'running', ok: 'ok', failed: 'failed', skipped: 'skipped' };

function drawSteps() {
  byId('steps').replaceChildren(...STEPS.map(({ id, title }) => {
    const row = Object.assign(document.createElement('li'), { id: `step-${id}` });
    for (const part of ['title', 'state', 'detail', 'remedy']) row.append(Object.assign(document.createElement('span'), { className: part }));
    row.querySelector('.title').textContent = title;
    return row;
  }));
  for (const { id } of STEPS) show(id, 'waiting');
}

function show(id, state, detail = '', remedy = '') {
  const row = byId(`step-${id}`);
  row.dataset.state = state;
  row.querySelector('.state').textContent = WORDS[state];
  row.querySelector('.detail').textContent = detail;
  row.querySelector('.remedy').textContent = remedy;
}

/** Runs one step. @returns {Promise<boolean>} whether it succeeded */
async function run({ id, check }, visit) {
  show(id, 'running');
  try {
    show(id, 'ok', await check(visit));
    return true;
  } catch (error) {
    show(id, 'failed', error.message, error instanceof Failed ? error.remedy : 'This is a fault of the page: please report it with the text above.');
    return false;
  }
}

/** All steps; one whose `needs` failed is skipped. */
async function preflight() {
  drawSteps();
  byId('again').disabled = true;
  decide('running', 'Running');
  const visit = new Visit(byId('video'), byId('canvas'), query);
  const good = new Set();
  let first = null; // the first step that failed
  for (const step of STEPS) {
    if (step.needs.every((id) => good.has(id))) {
      if (await run(step, visit)) good.add(step.id);
      else first ??= step;
    } else {
      show(step.id, 'skipped', `needs: ${step.needs.filter((id) => !good.has(id)).map(titleOf).join(', ')}`);
    }
  }
  visit.close();
  const because = first ? ` What fails first: ${first.title}.` : '';
  if (good.has('picture')) decide('webrtc', `Pictures will come over WebRTC.${because}`);
  else if (good.has('websocket-video')) decide('websocket', `Pictures will come over the WebSocket.${because}`);
  else decide('none', `No pictures will come.${because}`);
  byId('again').disabled = false;
}

function titleOf(id) {
  return STEPS.find((step) => step.id === id).title;
}

function decide(transport, text) {
  byId('verdict').dataset.transport = transport;
  byId('verdict').textContent = text;
}

byId('again').addEventListener('click', preflight);
preflight();
