/**
 * What the page tells people: one line about the connection, and a curtain of words while there is no picture.
 *
 * Knows the words and where they stand; no world.
 */

import { mark, write } from './write.js';

const byId = (id) => document.getElementById(id);

/** How to say a refusal to a person. */
const TROUBLE = {
  busy: ['All places are taken', 'Somebody else is dreaming here just now. Try again in a moment.'],
  unreachable: ['Nobody answers', 'The Worldloom server cannot be reached. Is it running?'],
  connection_lost: ['The thread broke', 'The connection to the server was lost.'],
  session_closed: ['The dream is over', 'The server ended this session.'],
  model_fault: ['The world failed', 'Its session has ended; the server goes on.'],
  unknown_world: ['No such world', ''],
  taken_over: ['You are driving elsewhere', 'Another page took this session over.'],
  unauthorized: ['This door has a lock', ''],
  unknown_session: ['Nothing to see', 'That session has ended, or the link is wrong.'],
  draining: ['The server is stopping', 'Try again in a moment.'],
  time_limit: ['Time is up', 'This session has lasted, or waited for you, as long as it may.'],
  no_path: ['No way through', 'WebRTC finds no path to this page.'],
};

/** Says beside the dot how the connection is. */
export function say(state, text) {
  mark(byId('link'), 'data-state', state);
  write(byId('link-text'), text);
}

/** Covers the picture with words; a retry button where that may help. */
export function cover(title, text, retry) {
  byId('curtain').dataset.open = true;
  byId('curtain-title').textContent = title;
  byId('curtain-text').textContent = text;
  byId('retry').hidden = !retry;
  byId('weave').hidden = retry;
  byId('invite').hidden = true;
}

/** Shows the picture. */
export function uncover() {
  byId('curtain').dataset.open = false;
  byId('invite').hidden = false;
}

/** Covers the picture with what went wrong. @param {{code: string, message: string}} why */
export function coverWith({ code, message }) {
  const [title, text] = TROUBLE[code] ?? ['Something went wrong', ''];
  cover(title, text || message, true);
  say('failed', title);
}
