/**
 * Links that a person can hand on: one with which others see this session, and one that holds the walk so far.
 *
 * A walk stands in the fragment, which no server sees. Knows links and the clipboard.
 */

import { packWalk, unpackWalk } from './js/worldloom.js';

const WALK = '#walk=';

/** Shows others what happens here. @param {import('./js/worldloom.js').World} world */
export const watchLink = (world) => new URL(`/?watch=${world.tokens.watch}`, location.href).href;

/** What somebody needs who wants to see the walk so far. @param {import('./js/worldloom.js').World} world */
export async function walkLink(world) {
  const walk = await world.walk();
  return { href: new URL(`/${WALK}${await packWalk(walk)}`, location.href).href, reduced: walk.reduced };
}

/** The walk of this page's own address, if it holds one. @returns {Promise<import('./js/walk.js').Walk | null>} */
export async function walkHere() {
  return location.hash.startsWith(WALK) ? unpackWalk(location.hash.slice(WALK.length)) : null;
}

/** This page is not about a walk any more. */
export function forgetWalk() {
  if (location.hash.startsWith(WALK)) history.replaceState(null, '', location.pathname + location.search);
}

/**
 * Copies a link and says so on the button; where copying is not allowed, shows it.
 * @param {HTMLElement} button @param {string} href @param {string} why what the link is good for
 */
export async function handOver(button, href, why) {
  const copied = await navigator.clipboard?.writeText(href).then(() => true, () => false);
  if (!copied) return void window.prompt(why, href);
  const { textContent } = button;
  if (textContent !== 'Copied') {
    button.textContent = 'Copied';
    setTimeout(() => (button.textContent = textContent), 2000);
  }
}
