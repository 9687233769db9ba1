// The JavaScript client walks in Node: node_walker.mjs URL. Pictures are raw bytes, for Node decodes none. Does
// and says what deeds.py does and says.
import { connect } from '../../../client/js/worldloom.js';

const DEEDS = ['KeyD', 'ArrowRight', 'KeyA', 'ArrowLeft'];
const [REST_MS, RESTS, STILL, FRAMES, GIVE_UP_MS] = [200, 10, 1, 6, 5000];
const url = process.argv[2];

const say = (told) => console.log(JSON.stringify(told));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const world = await connect({ url: `${url}/v1/session`, transport: 'none', wait: true });
let [picture, shown, timesBack] = [null, -1, 0];
world.view.see = ({ index, payload }) => {
  [shown, picture] = [index, payload];
};
const wantPictures = () => world.post({ type: 'view', video: 'websocket', format: 'raw' });
world.addEventListener('back', () => {
  timesBack += 1;
  wantPictures();
});
wantPictures();

async function until(holds) {
  const [deadline, connection] = [performance.now() + GIVE_UP_MS, timesBack];
  while (!holds()) {
    if (performance.now() > deadline || timesBack !== connection) return false;
    await sleep(10);
  }
  return true;
}

function difference(a, b) {
  let total = 0;
  for (let at = 0; at < a.length; at += 1) total += Math.abs(a[at] - b[at]);
  return total / a.length;
}

async function rested() {
  let [before, rest] = [picture, null];
  for (let times = 0; times < RESTS && !(rest !== null && rest < STILL); times += 1) {
    const early = before;
    await sleep(REST_MS);
    before = picture;
    rest = difference(early, before);
  }
  return [before, rest];
}

async function deed(code) {
  const [before, rest] = await rested();
  let receipt = null;
  world.press(code).then((told) => { receipt = told; }, () => {});
  const answered = (await until(() => receipt)) && receipt.frame != null;
  const seen = answered && (await until(() => shown >= receipt.frame + FRAMES));
  const after = picture;
  world.release(code).catch(() => {});
  if (!seen) return null;
  const { status, frame } = receipt;
  return { did: code, status, frame, rest, change: difference(before, after) };
}

let over = false;
process.stdin.on('end', () => { over = true; }).resume();
await until(() => picture);
for (let number = 0, connection = -1; !over; number += 1) {
  if (connection !== timesBack) say({ session: world.session, times_lost: timesBack });
  connection = timesBack;
  const told = await deed(DEEDS[number % DEEDS.length]);
  if (told && connection === timesBack) say({ times_lost: connection, ...told });
}
say({ walked: true });
world.close();
