// What the tests look at in the page: receipts as they come, and the luma of frames as they are shown.
window.probe = {
  receipts: [],

  listen() {
    window.worldloom.client.addEventListener('receipt', ({ detail }) => this.receipts.push(detail));
  },

  picture() {
    return [document.getElementById('video'), document.getElementById('canvas')].find((element) => !element.hidden);
  },

  grab() {
    const { width, height } = window.worldloom.info;
    const copy = Object.assign(document.createElement('canvas'), { width, height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(this.picture(), 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    let luma = '';
    for (let at = 0; at < data.length; at += 4) {
      luma += String.fromCharCode(Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]));
    }
    return { width, height, luma: btoa(luma) };
  },

  // The next `count` frames, one grab for each change of the page's own count of shown frames.
  async film(count) {
    const shots = [];
    let seen = window.worldloom.stats().frames_shown;
    while (shots.length < count) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const shown = window.worldloom.stats().frames_shown;
      if (shown === seen) continue;
      seen = shown;
      shots.push(this.grab());
    }
    return shots;
  },
};
