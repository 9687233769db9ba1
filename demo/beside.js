/**
 * The engine beside the dream, where the server has it installed: a second picture in the stage, and the words that go with it.
 *
 * Knows the elements; what an engine is, is the client's.
 */

import { listTwins, openTwin } from './js/worldloom.js';

const byId = (id) => document.getElementById(id);

export class Beside {
  /** @param {{news: (text: string, state?: string) => void}} calls */
  constructor({ news }) {
    this.news = news;
    this.twin = null;
    this.worlds = listTwins();
  }

  /** Whether an engine is there, or on its way. */
  get open() {
    return this.twin !== null;
  }

  /** Shows the button where a world has an engine here. @param {import('./js/worldloom.js').World} world */
  async offer(world) {
    byId('twin').hidden = true;
    const has = (await this.worlds).includes(world.world);
    byId('twin').hidden = !has || world.role === 'watch' || world.options.mode === 'lockstep';
  }

  /** The engine and the dream begin anew together. @param {import('./js/worldloom.js').World} world @param {number} seed */
  show(world, seed) {
    this.close();
    this.news('The engine is being started');
    const canvas = byId('engine');
    this.twin = openTwin(world, canvas, {
      seed,
      onShown: () => this.draw(true),
      onEnd: (why) => {
        this.close();
        this.news(`The engine has left: ${why}`, 'failed');
      },
    });
    byId('twin').setAttribute('aria-pressed', true);
  }

  close() {
    this.twin?.close();
    this.twin = null;
    byId('twin').setAttribute('aria-pressed', false);
    this.draw(false);
  }

  /** @param {boolean} on */
  draw(on) {
    byId('stage').dataset.twin = on;
    byId('engine').hidden = byId('engine-badge').hidden = byId('beside').hidden = !on;
    byId('alone').hidden = on;
  }
}
