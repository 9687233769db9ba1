// A WebSocket that a test plays the server of.

export const WORLD = {
  name: 'toy', title: '', help: '', height: 96, width: 128, fps: [20, 1], chunk: 1, prompts: false, images: false, horizon: 0, looks: [],
  actions: {
    buttons: ['forward', 'back'],
    axes: [{ name: 'turn', low: -6, high: 6, unit: 'degrees', kind: 'amount' }, { name: 'lever', low: -1, high: 2, unit: '1', kind: 'level' }],
    keys: { KeyW: { column: 'forward', value: 1 }, KeyS: { column: 'back', value: 1 }, Space: { column: 'lever', value: 1 } },
    look: ['turn', null],
  },
};

export class FakeSocket {
  static OPEN = 1;
  static all = [];
  static refuse = false; // whether there is no server

  constructor(url) {
    this.url = url;
    this.readyState = 0;
    this.sent = [];
    FakeSocket.all.push(this);
    queueMicrotask(() => {
      if (FakeSocket.refuse) return this.close();
      this.readyState = 1;
      this.onopen?.();
      return undefined;
    });
  }

  static get last() {
    return FakeSocket.all.at(-1);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code = 1006, reason = '') {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  welcome(more = {}) {
    this.say({
      type: 'welcome', protocol: 1, session: 's', world: WORLD, worlds: ['toy'], limits: { message_bytes: 1000, inbox: 10, recording: false },
      seed: 4, video: 'none', mode: 'realtime', format: 'jpeg', role: 'drive', resume: 'resume-token', watch: 'watch-token', frame: 0,
      ice_servers: [], relay_only: false, last_seq: 0, ...more,
    });
  }

  of(type) {
    return this.sent.filter((message) => message.type === type);
  }
}

globalThis.WebSocket = FakeSocket;

/** Until a condition holds. */
export async function until(condition, ms = 3000) {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`expected ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
