/**
 * The buttons below the picture: pause, single step, another dream, its seed; and what can be kept or handed on.
 *
 * Knows the buttons and what each asks of the open world; not how worlds are opened.
 */

import { canFilm, film, screenshot } from './camera.js';
import { handOver, walkLink, watchLink } from './links.js';
import { mark, write } from './write.js';

const byId = (id) => document.getElementById(id);
const stage = byId('stage');

/**
 * @typedef {object} Desk what the page lends to the buttons
 * @property {import('./js/worldloom.js').World | null} world that is open
 * @property {import('./js/walk.js').Replay | null} replay
 * @property {import('./beside.js').Beside} beside
 * @property {(seed: number) => void} anew
 * @property {(text: string, state?: string) => void} news
 * @property {() => void} show draws the pause anew
 */

export class Bar {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    this.filming = null;
    const press = (id, call) => byId(id).addEventListener('click', (event) => {
      if (desk.world) call(event);
      giveBack(event);
    });
    press('pause', () => this.pause());
    press('step', () => (desk.replay ?? desk.world).step());
    press('reset', () => desk.anew(crypto.getRandomValues(new Uint32Array(1))[0]));
    press('screenshot', () => screenshot(desk.world));
    press('film', () => this.film());
    press('record', () => desk.world.record(!desk.world.recording));
    press('share', () => handOver(byId('share'), watchLink(desk.world), 'Whoever opens this link sees what you see'));
    press('walk', () => this.copyWalk());
    press('twin', () => (desk.beside.open ? desk.beside.close() : desk.beside.show(desk.world, desk.world.seed)));
    byId('seed').addEventListener('keydown', (event) => event.key === 'Enter' && this.enterSeed());
    byId('seed').addEventListener('blur', () => this.showSeed());
    byId('fullscreen').addEventListener('click', () => stage.requestFullscreen?.().then(() => stage.focus()).catch(() => {}));
  }

  /** A world was opened. @param {import('./js/worldloom.js').World} world */
  settle(world) {
    const watching = world.role === 'watch';
    for (const id of ['pause', 'step', 'reset', 'walk']) byId(id).hidden = watching;
    byId('share').hidden = watching || !world.tokens.watch;
    byId('record').hidden = !world.canRecord;
    byId('film').hidden = !canFilm();
    byId('seed').readOnly = watching;
    this.desk.beside.offer(world);
  }

  /** The world is left: what was filmed of it is kept. */
  letGo() {
    this.filming?.stop();
  }

  /** @param {boolean} on */
  enable(on) {
    for (const id of ['pause', 'reset', 'seed', 'screenshot', 'film', 'walk', 'twin']) byId(id).disabled = !on;
    byId('step').disabled = !on || !this.paused;
  }

  get paused() {
    const { world, replay } = this.desk;
    return Boolean(replay ? replay.paused : world?.paused);
  }

  pause() {
    const { world, replay, show } = this.desk;
    if (this.paused) replay ? replay.play() : world.resume();
    else replay ? replay.pause() : world.pause();
    if (replay) show();
  }

  /** @returns {boolean} whether it is paused */
  showPause() {
    const { paused } = this;
    mark(byId('pause'), 'aria-pressed', paused);
    write(byId('pause'), paused ? 'Go on' : 'Pause');
    byId('step').disabled = !paused || byId('pause').disabled;
    return paused;
  }

  showSeed() {
    if (document.activeElement !== byId('seed')) byId('seed').value = this.desk.world?.seed ?? '';
  }

  showRecording() {
    const on = Boolean(this.desk.world?.recording);
    mark(byId('record'), 'aria-pressed', on);
    byId('recording').hidden = !on;
  }

  enterSeed() {
    const seed = Number(byId('seed').value.trim() || NaN);
    if (!Number.isSafeInteger(seed) || seed < 0) return this.desk.news('A seed is a whole number from 0 on', 'failed');
    stage.focus({ preventScroll: true });
    return this.desk.anew(seed);
  }

  film() {
    if (this.filming) return this.filming.stop();
    this.filming = film(this.desk.world, () => {
      this.filming = null;
      this.showFilm();
    });
    return this.showFilm();
  }

  showFilm() {
    byId('film').setAttribute('aria-pressed', this.filming !== null);
    byId('film').textContent = this.filming ? 'Stop filming' : 'Film';
  }

  async copyWalk() {
    try {
      const { href, reduced } = await walkLink(this.desk.world);
      await handOver(byId('walk'), href, 'Whoever opens this link walks your walk again');
      if (reduced) this.desk.news('Copied. The server was busy: parts of it will look a little different');
    } catch (error) {
      this.desk.news(error.message, 'failed');
    }
  }
}

/** After a click with the mouse the keys go on driving; who came by keyboard stays where they are. */
function giveBack(event) {
  if (event.detail > 0) stage.focus({ preventScroll: true });
}
