/**
 * What became of the controls that were sent: answers matched with the promises that wait for them.
 *
 * A person steers, so nothing is said twice: what a lost connection has taken with it fails, and what the server has seen
 * is answered on the next one, unless that answer was lost too.
 *
 * Knows messages; no socket, no clock but the one that gives up waiting.
 */

import { Refused } from './refused.js';

/** Controls without an answer; of more, the oldest is given up. */
const UNANSWERED = 512;
/** On a new connection: how long until what the server saw on the one before counts as never answered, ms. */
const ANSWER = 2000;

/** @typedef {import('./protocol.js').ReceiptMessage} Receipt */
/** @typedef {import('./controls.js').Said} Said */
/** @typedef {Promise<Receipt> & {seq: number}} Sent a control that was said; nobody has to wait for its receipt */

export class Receipts {
  constructor() {
    /** @type {Map<number, {control: Said, resolve: (receipt: Receipt) => void, reject: (why: Refused) => void}>} */
    this.unanswered = new Map();
    /** @type {Map<number, Refused>} their receipt `rejected` is still to come */
    this.refusals = new Map();
  }

  /** A control was sent. @param {number} seq @param {Said} control @returns {Sent} */
  say(seq, control) {
    const [oldest] = this.unanswered.keys();
    if (this.unanswered.size >= UNANSWERED) this.fail([oldest], 'unanswered', 'too many controls wait for their receipt');
    const receipt = /** @type {Promise<Receipt>} */ (
      new Promise((resolve, reject) => this.unanswered.set(seq, { control, resolve, reject }))
    );
    receipt.catch(() => {}); // an error that nobody waits for is no news
    return Object.assign(receipt, { seq });
  }

  /** The server says why it will reject a control. @param {import('./protocol.js').ErrorMessage} error */
  refuse({ code, message, retryable, seq }) {
    if (seq !== undefined && this.unanswered.has(seq)) this.refusals.set(seq, new Refused(code, message, retryable));
  }

  /** The server's answer. @param {Receipt} receipt @returns {Said | null} what was answered, where that is known */
  put(receipt) {
    const waiting = this.unanswered.get(receipt.seq);
    const refusal = this.refusals.get(receipt.seq);
    this.unanswered.delete(receipt.seq);
    this.refusals.delete(receipt.seq);
    if (!waiting) return null;
    if (refusal) waiting.reject(refusal);
    else waiting.resolve(receipt);
    return waiting.control;
  }

  /** There is another connection. @param {number} lastSeq what the server has seen */
  back(lastSeq) {
    const all = [...this.unanswered.keys()];
    this.fail(all.filter((seq) => seq > lastSeq), 'connection_lost', 'the connection was lost before the server saw this');
    const seen = all.filter((seq) => seq <= lastSeq);
    setTimeout(() => this.fail(seen, 'connection_lost', 'the answer was lost with the connection'), ANSWER);
  }

  /** No more answers: nobody may go on waiting. @param {string} code @param {string} message */
  close(code, message) {
    this.fail([...this.unanswered.keys()], code, message);
  }

  /** @param {number[]} seqs @param {string} code @param {string} message */
  fail(seqs, code, message) {
    for (const seq of seqs) {
      this.unanswered.get(seq)?.reject(new Refused(code, message, code === 'connection_lost'));
      this.unanswered.delete(seq);
      this.refusals.delete(seq);
    }
  }
}
