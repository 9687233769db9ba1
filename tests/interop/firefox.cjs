// A visit to the demo page in Firefox, over WebDriver BiDi: watches, presses a key, and prints what was seen as JSON.
//
//     NODE_PATH=… node firefox.cjs FIREFOX URL KEY SECONDS
//
// Firefox is as its maker ships it, but for the loop-back address, which it offers to nobody unless it is told to.

const puppeteer = require('puppeteer-core');

const PREFERENCES = { 'media.peerconnection.ice.loopback': true };
const [executablePath, url, key, seconds] = process.argv.slice(2);
const PATIENCE_MS = 20_000;

const seen = { problems: [] };

async function visit(page) {
  page.on('console', (message) => message.type() === 'error' && seen.problems.push(message.text()));
  page.on('pageerror', (error) => seen.problems.push(error.message));
  await page.evaluateOnNewDocument(() => {
    const timer = setInterval(() => {
      if (!(window.worldloom?.stats()?.frames_shown > 0)) return;
      window.firstMs = performance.now();
      clearInterval(timer);
    }, 5);
  });
  await page.goto(url);
  const until = (condition) => page.waitForFunction(condition, { timeout: PATIENCE_MS, polling: 50 });
  await until('window.worldloom?.stats()?.frames_shown > 2');
  seen.first_ms = await page.evaluate(() => window.firstMs);
  seen.codec = await page.evaluate(async () => {
    const report = [...(await window.worldloom.client.view.picture.peer.getStats()).values()];
    const inbound = report.find((one) => one.type === 'inbound-rtp' && one.kind === 'video');
    return report.find((one) => one.id === inbound.codecId)?.mimeType;
  });
  await page.evaluate(() => {
    window.receipts = [];
    window.worldloom.client.addEventListener('receipt', ({ detail }) => window.receipts.push(detail));
  });
  await page.click('#stage');
  await page.keyboard.down(key);
  await until("window.receipts.some(({ control }) => control?.type === 'key')");
  await page.evaluate(() => window.worldloom.clearStats());
  const before = await page.evaluate(() => document.getElementById('video').currentTime);
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  await page.keyboard.up(key);
  await until("window.receipts.filter(({ control }) => control?.type === 'key').length > 1");
  await until('window.worldloom.stats().input_to_photon_ms.p50 !== null'); // its picture follows its receipt
  seen.played = (await page.evaluate(() => document.getElementById('video').currentTime)) - before;
  seen.stats = await page.evaluate(() => window.worldloom.stats());
  seen.receipts = await page.evaluate(() => window.receipts);
  seen.transport = await page.evaluate(() => document.getElementById('v-transport').textContent);
}

async function main() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    extraPrefsFirefox: PREFERENCES,
  });
  try {
    seen.version = await browser.version();
    await visit(await browser.newPage());
  } finally {
    await browser.close();
  }
}

main()
  .catch((error) => (seen.failure = error.message))
  .finally(() => console.log(JSON.stringify(seen)));
