/** Which world: one choice for each that the server has. Knows names and titles; what a choice does is its caller's. */

const room = document.getElementById('worlds');

/**
 * Draws the choices; nothing to choose from needs no chooser.
 * @param {{ name: string, title: string }[]} worlds
 * @param {string} chosen its name
 * @param {(name: string) => void} onChoice
 */
export function drawChooser(worlds, chosen, onChoice) {
  room.querySelectorAll('label').forEach((label) => label.remove());
  for (const { name, title } of worlds) {
    const label = document.createElement('label');
    const radio = Object.assign(document.createElement('input'), { type: 'radio', name: 'world', value: name, checked: name === chosen });
    radio.addEventListener('change', () => onChoice(name));
    label.append(radio, Object.assign(document.createElement('span'), { textContent: name }));
    label.title = title;
    room.append(label);
  }
  room.hidden = worlds.length < 2;
}

/** @returns the name of the world that is chosen; undefined before there are any */
export function chosenWorld() {
  return room.querySelector('input:checked')?.value;
}
