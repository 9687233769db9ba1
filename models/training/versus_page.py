"""The page on which a person chooses between two sides without knowing whose they are.

Everything is inside: the clips, the buttons, the scoring. It knows the key only when a person gives it the file; the
page is scored where it is, and sends nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 760px; padding: 0 1rem; color: #1c1c1c }
video { width: 100%; image-rendering: pixelated; background: #000 } fieldset { border: 0; padding: .3rem 0 1.6rem }
label { margin-right: 1.4rem } output { display: block; margin-top: 1rem; font-weight: 600; white-space: pre-line }
"""

SCRIPT = """
const chance = (wins, losses) => {
  // Two-sided sign test: how often a fair coin is at least so one-sided.
  const n = wins + losses;
  let term = 0.5 ** n, tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k++) { tail += term; term *= (n - k) / (k + 1); }
  return Math.min(1, 2 * tail);
};
document.getElementById('score').addEventListener('click', async () => {
  const said = document.getElementById('result');
  const file = document.getElementById('key').files[0];
  if (!file) { said.textContent = 'Choose key.json first: only it knows the sides.'; return; }
  const key = JSON.parse(await file.text());
  const count = { a: 0, b: 0, same: 0, open: 0 };
  key.left.forEach((left, k) => {
    const choice = document.querySelector(`input[name="pair${k}"]:checked`)?.value;
    if (!choice) count.open++;
    else if (choice === 'same') count.same++;
    else count[choice === 'left' ? left : left === 'a' ? 'b' : 'a']++;
  });
  said.textContent = `${key.a}: ${count.a}\\n${key.b}: ${count.b}\\n`
    + `no difference: ${count.same}, open: ${count.open}\\nsign test: p = ${chance(count.a, count.b).toFixed(3)}`;
});
"""


def render(videos: Sequence[str]) -> str:
    """The page of clips, each base64 of an MP4 with the two sides in it."""
    pairs = "".join(_pair(k, video) for k, video in enumerate(videos))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Which is better?</title>'
        f"<style>{STYLE}</style></head><body><h1>Which is better?</h1>"
        "<p>Both sides dreamed the same actions, printed above the pictures. Choose for every pair; then open"
        " <code>key.json</code>, which lies beside this page, and score.</p>"
        f'{pairs}<p><input type="file" id="key" accept=".json"> <button id="score">Score</button></p>'
        f'<output id="result"></output><script>{SCRIPT}</script></body></html>\n'
    )


def _pair(number: int, video: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="pair{number}" value="{value}"> {words}</label>'
        for value, words in (("left", "left"), ("same", "no difference"), ("right", "right"))
    )
    return (
        f'<video controls loop muted preload="metadata" src="data:video/mp4;base64,{video}"></video>'
        f"<fieldset>{number + 1}. Better: {choices}</fieldset>"
    )
