/** The one error of this client. */

/** The server said no, or did not answer. */
export class Refused extends Error {
  /**
   * @param {string} code stable, for example `busy`
   * @param {string} message for people
   * @param {boolean} retryable the same request may succeed later
   */
  constructor(code, message, retryable) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}
