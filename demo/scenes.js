/**
 * Where a world can begin: photographs of its start scenes to choose from, and pictures that somebody brings, chosen or
 * dropped on the world.
 *
 * Knows seeds and files; how a world begins anew is its caller's.
 */

import { listScenes } from './js/worldloom.js';

const byId = (id) => document.getElementById(id);
const stage = byId('stage');

/**
 * Draws the gallery of a world; none is shown for a spectator (`null`), or where there is nothing to choose.
 * @param {import('./js/worldloom.js').World | null} world
 * @param {(seed: number) => void} onSeed
 */
export async function drawScenes(world, onSeed) {
  const room = byId('scenes');
  room.replaceChildren();
  room.dataset.session = world?.session ?? '';
  byId('own').hidden = !world?.info.images;
  byId('begin').hidden = byId('own').hidden;
  if (world === null) return;
  const scenes = await listScenes(world.world);
  if (room.dataset.session !== world.session || room.childElementCount > 0) return; // another one was opened meanwhile
  const { width, height } = world.info;
  room.append(...scenes.map(({ seed, name, picture }) => {
    const title = `${name} (seed ${seed})`;
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'scene', title });
    button.setAttribute('aria-label', `Begin at ${title}`);
    button.append(
      Object.assign(document.createElement('img'), { src: picture, alt: '', width, height }),
      Object.assign(document.createElement('span'), { textContent: name }),
    );
    button.addEventListener('click', () => onSeed(seed));
    return button;
  }));
  byId('begin').hidden &&= scenes.length === 0;
}

/** Pictures that are dropped on the stage, or chosen. @param {(file: File) => void} onPicture */
export function takePictures(onPicture) {
  const hint = (on) => (stage.dataset.drop = on);
  stage.addEventListener('dragover', (event) => {
    event.preventDefault();
    hint(true);
  });
  stage.addEventListener('dragleave', (event) => stage.contains(event.relatedTarget) || hint(false));
  stage.addEventListener('drop', (event) => {
    hint(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    onPicture(file);
  });
  byId('own-file').addEventListener('change', ({ target }) => {
    const [file] = target.files;
    if (file) onPicture(file);
    target.value = ''; // the same one may be chosen again
  });
}
