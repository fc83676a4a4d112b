// The keyboard. A page gets the keys that the frame does not use.

import { h } from '../dom.js';
import { dialog } from '../menu.js';
import { go, patch, permalink, view } from '../router.js';
import { copy } from '../dom.js';
import { moved, widened } from '../time.js';
import { openSearch } from './search.js';
import { switchTheme } from './rail.js';

const PAGES = { h: 'home', m: 'metrics', l: 'logs', a: 'alerts', c: 'checks', n: 'agents' };
let waitingForPage = 0;

/** Listens for keys; `page()` gives the page that is open. */
export function startKeys(page) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target;
    const typing = target.matches && target.matches('input, textarea, select, [contenteditable]');
    if (typing) {
      if (event.key === 'Escape') target.blur();
      return;
    }
    if (document.querySelector('.veil')) return;
    const current = page();
    if (waitingForPage) {
      clearTimeout(waitingForPage);
      waitingForPage = 0;
      if (PAGES[event.key]) { event.preventDefault(); go(PAGES[event.key]); return; }
    }
    if (current && current.key && current.key(event)) { event.preventDefault(); return; }
    const used = frameKey(event.key);
    if (used) event.preventDefault();
  });
}

function frameKey(key) {
  const now = view();
  switch (key) {
    case '/': openSearch(); return true;
    case '?': help(); return true;
    case 'g': waitingForPage = setTimeout(() => { waitingForPage = 0; }, 1500); return true;
    case 'D': switchTheme(); return true;
    case '[': patch(moved(now, -1)); return true;
    case ']': patch(moved(now, 1)); return true;
    case 'z': patch(widened(now, Date.now())); return true;
    case 'p': patch({ live: now.live ? 'off' : null }); return true;
    case 'y': copy(permalink()); return true;
    case 's': focusOn('.scope input'); return true;
    case 'f': return focusOn('.page [data-filter]');
    default: return false;
  }
}

function focusOn(selector) {
  const field = document.querySelector(selector);
  if (field) field.focus();
  return !!field;
}

const HELP = [
  ['/', 'Search pages, services, containers, checks'], ['g then h m l a c n', 'Home, Metrics, Logs, Alerts, Checks, Agents'],
  ['s', 'Scope'], ['f', 'Filter of this page'], ['↑ ↓ or k j', 'Move through the list'], ['Enter', 'Open'], ['Esc', 'Close, back to the list'],
  ['[ ]', 'Earlier, later'], ['z', 'Zoom out'], ['p', 'Pause and go on live'], ['y', 'Copy a link to exactly this'],
  ['t', 'Logs: lines of the same trace'], ['Shift+D', 'Dark or light'], ['?', 'This list'],
];

export function help() {
  dialog([
    h('div', { class: 'input' }, h('h2', {}, 'Keyboard')),
    h('div', { class: 'list' }, h('dl', { class: 'facts', style: { padding: '8px 12px 12px' } },
      HELP.map(([key, what]) => [h('dt', {}, key.split(' ').map((part) => (/^(then|or)$/.test(part) ? ` ${part} ` : h('kbd', {}, part)))), h('dd', {}, what)]))),
  ]);
}
