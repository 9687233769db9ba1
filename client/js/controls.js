/**
 * What a driver can say, one method a control: each sends at once and returns a promise of the receipt, whose `seq` is
 * the number that the receipt will name. It is rejected with a `Refused` where the server refuses; nobody has to care.
 *
 * Knows the messages; not how they are numbered and sent, which `control` of whoever extends this does.
 */

/** Largest turn in one `look`, degrees. */
const MAX_LOOK = 3600;

/** @template T @typedef {T extends unknown ? Omit<T, 'seq'> : never} Unnumbered */
/**
 * @typedef {Unnumbered<import('./protocol.js').KeyMessage | import('./protocol.js').LookMessage | import('./protocol.js').ShiftMessage
 *   | import('./protocol.js').AxesMessage | import('./protocol.js').ActionMessage | import('./protocol.js').PromptMessage
 *   | import('./protocol.js').SayMessage | import('./protocol.js').ResetMessage | import('./protocol.js').PauseMessage | import('./protocol.js').ResumeMessage
 *   | import('./protocol.js').RewindMessage | import('./protocol.js').SnapshotMessage
 *   | import('./protocol.js').RestoreMessage | import('./protocol.js').ForkMessage
 *   | import('./protocol.js').StepMessage | import('./protocol.js').RecordMessage>} Said a control without its number
 */
/** @typedef {import('./receipts.js').Sent} Sent */

export class Controls extends EventTarget {
  /** A key of the world went down or up. @param {string} code @param {boolean} down @param {number} [atMs] */
  key(code, down, atMs) {
    return this.control({ type: 'key', code, down }, atMs);
  }

  /** A key goes down and stays; its code as in `info.actions.keys`. @param {string} code @param {number} [atMs] */
  press(code, atMs) {
    return this.key(code, true, atMs);
  }

  /** A key comes up. @param {string} code @param {number} [atMs] */
  release(code, atMs) {
    return this.key(code, false, atMs);
  }

  /** A key goes down and up again: held for one chunk. Returns the press. @param {string} code @param {number} [atMs] */
  tap(code, atMs) {
    const pressed = this.press(code, atMs);
    this.release(code, atMs);
    return pressed;
  }

  /** The view turned, in degrees: yaw right +, pitch up +. @param {number} yaw @param {number} pitch @param {number} [atMs] */
  look(yaw, pitch, atMs) {
    const bounded = (/** @type {number} */ degrees) => Math.max(-MAX_LOOK, Math.min(MAX_LOOK, degrees));
    return this.control({ type: 'look', yaw: bounded(yaw), pitch: bounded(pitch) }, atMs);
  }

  /** New values for some axes, by name. @param {{[name: string]: number}} values @param {number} [atMs] */
  axes(values, atMs) {
    return this.control({ type: 'axes', values }, atMs);
  }

  /** A whole action row. @param {number[]} values @param {number} [atMs] */
  action(values, atMs) {
    return this.control({ type: 'action', values }, atMs);
  }

  /** Begins the world anew from a text. @param {string} text */
  prompt(text) {
    return this.control({ type: 'prompt', text });
  }

  /**
   * Goes on from here under another text; `frame` of the receipt is the first one that it shapes.
   * @param {string} text @param {'recache' | 'blend' | 'flush'} [how] one of `info.switches`
   * @param {number} [chunks] that `blend` takes
   */
  say(text, how, chunks) {
    return this.control({ type: 'say', text, how, chunks });
  }

  /**
   * Begins the world anew; the same seed and picture when none is given.
   * @param {number} [seed] @param {string} [image] 'none': the world's own
   */
  reset(seed, image) {
    return this.control({ type: 'reset', seed, image });
  }

  pause() {
    return this.control({ type: 'pause' });
  }

  resume() {
    return this.control({ type: 'resume' });
  }

  /** Goes back in time, in place; `to` of the receipt says where. @param {number} seconds of the world */
  rewind(seconds) {
    return this.control({ type: 'rewind', seconds });
  }

  /** Keeps the world as it is now, on the server: `snapshot` of the receipt is its name. */
  snapshot() {
    return this.control({ type: 'snapshot' });
  }

  /** Goes back to a snapshot of this session. @param {string} snapshot */
  restore(snapshot) {
    return this.control({ type: 'restore', snapshot });
  }

  /**
   * Makes a session of its own that goes on from here: `connect({ resume: receipt.fork })` drives it, paused until
   * `resume()`. @param {string} [snapshot] to go on from instead
   */
  fork(snapshot) {
    return this.control({ type: 'fork', snapshot });
  }

  /** Records the session on the server, or stops. @param {boolean} on */
  record(on) {
    return this.control({ type: 'record', on });
  }

  /** In lockstep, or while paused: makes one chunk. @param {number[][]} [actions] one row a frame */
  step(actions) {
    return this.control({ type: 'step', actions });
  }

  /** Sends one control with the next number. @param {Said} message @param {number} [atMs] when it happened @returns {Sent} */
  control(message, atMs) {
    throw new Error(`expected something that can send ${message.type} of ${atMs}`);
  }

  /** The schedule of pictures moves, once: later by so many ms, or earlier. @param {number} ms */
  shift(ms) {
    return this.control({ type: 'shift', ms });
  }
}
