// A session at a gateway whose worker dies: run by test_javascript.py, which kills the worker when told so.

import { connect } from '../../client/js/worldloom.js';

const world = await connect({ url: process.env.WORLDLOOM_URL, transport: 'none', mode: 'realtime' });
const back = new Promise((done) => world.addEventListener('back', done, { once: true }));
const first = await world.press('KeyW');
const { session, tokens } = world;
console.log(`${session} ${first.frame}`);
await back;
const again = await world.press('KeyS');
const same = world.session === session && world.tokens.resume === tokens.resume;
console.log(JSON.stringify({ same, statuses: [first.status, again.status], grew: again.frame > first.frame }));
world.close();
