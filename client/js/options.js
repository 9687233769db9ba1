/** What `connect` may be told. Types alone. */

/**
 * @typedef {object} Options
 * @property {string} [url] of the server's WebSocket, or of a gateway's /v1/sessions; this page's server when absent
 * @property {string} [world] name; the server's first one when absent
 * @property {number} [seed] drawn by the server when absent
 * @property {string | null} [prompt] a text to start from, where the world takes one
 * @property {HTMLVideoElement} [video] shows WebRTC
 * @property {HTMLCanvasElement} [canvas] shows WebSocket frames
 * @property {'auto' | 'webrtc' | 'websocket' | 'none'} [transport] 'auto' goes by WebRTC where that works, else by the
 *   WebSocket, and needs both elements; 'none' asks for no pictures
 * @property {'realtime' | 'lockstep'} [mode]
 * @property {boolean} [deterministic] pictures do not depend, to the bit, on who else is served
 * @property {boolean} [wait] when every place is taken: wait for one
 * @property {(waiting: import('./protocol.js').WaitingMessage) => void} [onWaiting] told now and then meanwhile
 * @property {string} [token] signed by the server, where it serves strangers
 * @property {string} [resume] token of an earlier session, to go on with it
 * @property {string} [watch] token of somebody's session, to see it
 */

export {};
