/**
 * What a driver can say, one method a control: each returns the number that its receipt will name.
 *
 * Knows the messages; not how they are numbered and sent, which `control` of whoever extends this does.
 */

/** Largest turn in one `look`, degrees. */
const MAX_LOOK = 3600;

export class Controls extends EventTarget {
  /** A key of the world went down or up. @returns {number} the number that the receipt will name */
  key(code, down, atMs) {
    return this.control({ type: 'key', code, down }, atMs);
  }

  /** The view turned, in degrees: yaw right +, pitch up +. */
  look(yaw, pitch, atMs) {
    const bounded = (degrees) => Math.max(-MAX_LOOK, Math.min(MAX_LOOK, degrees));
    return this.control({ type: 'look', yaw: bounded(yaw), pitch: bounded(pitch) }, atMs);
  }

  /** New values for some axes, by name. @param {Object<string, number>} values */
  axes(values, atMs) {
    return this.control({ type: 'axes', values }, atMs);
  }

  /** A whole action row. @param {number[]} values */
  action(values, atMs) {
    return this.control({ type: 'action', values }, atMs);
  }

  /** Begins the world anew; the same seed and picture when none is given. @param {string} [image] 'none': the world's own */
  reset(seed, image) {
    return this.control({ type: 'reset', seed, image });
  }

  pause() {
    return this.control({ type: 'pause' });
  }

  resume() {
    return this.control({ type: 'resume' });
  }

  /** Records the session on the server, or stops. @param {boolean} on */
  record(on) {
    return this.control({ type: 'record', on });
  }

  /** Lockstep: makes one chunk. @param {number[][]} [actions] one row a frame */
  step(actions) {
    return this.control({ type: 'step', actions });
  }
}
