// The left rail (a bar at the bottom of a phone): pages, and where something needs a person.

import { h, fill } from '../dom.js';
import { icon, tower } from '../icons.js';
import { href, view } from '../router.js';
import { attention } from '../attention.js';
import { help } from './keys.js';

const ITEMS = [
  ['home', 'Home', 'Home and infrastructure', 'h'], ['metrics', 'Metrics', 'Metrics', 'm'], ['logs', 'Logs', 'Logs', 'l'],
  ['alerts', 'Alerts', 'Alerts', 'a'], ['checks', 'Checks', 'Checks', 'c'], ['agents', 'Agents', 'Agents', 'n'],
];

export function rail() {
  const links = new Map(ITEMS.map(([page, label, title, key]) => [page,
    h('a', { title: `${title} (g ${key})` }, icon(page, 18), h('span', { class: 'label' }, label), h('span', { class: 'count', hidden: true }))]));
  const brand = h('a', { class: 'brand', href: '/', title: 'Yagura' }, tower(), h('span', {}, 'Yagura'));
  const element = h('div', { class: 'rail' }, brand,
    h('nav', { 'aria-label': 'pages' }, [...links.values()]),
    h('div', { class: 'foot' },
      h('button', { title: 'Keyboard (?)', onclick: help }, icon('help', 18), h('span', { class: 'label' }, 'Keyboard')),
      h('button', { title: 'Dark or light (Shift+D)', onclick: switchTheme }, icon('theme', 18), h('span', { class: 'label' }, 'Dark or light')),
      h('button', { title: 'Wider or narrower', onclick: widen }, icon('wide', 18), h('span', { class: 'label' }, 'Narrower'))));

  function draw() {
    brand.href = href('home');
    for (const [page, link] of links) {
      link.href = href(page);
      if (view().page === page) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
      const need = attention.of(page);
      const count = link.querySelector('.count');
      count.hidden = !need.count;
      count.classList.toggle('warning', need.level !== 'critical');
      fill(count, need.count > 99 ? '99+' : String(need.count || ''), h('span', { class: 'sr' }, ` ${need.what || ''}`));
    }
  }
  return { element, draw };
}

export function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  remember('yagura.theme', root.dataset.theme);
  dispatchEvent(new Event('themechange'));
}

function widen() {
  const root = document.documentElement;
  if (root.dataset.rail === 'wide') delete root.dataset.rail; else root.dataset.rail = 'wide';
  remember('yagura.rail', root.dataset.rail || 'narrow');
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Refused storage only means that it is asked for again next time.
  }
}

// A system that changes its theme at dusk repaints canvases too.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dispatchEvent(new Event('themechange')));
