// Search by name over everything: pages, services, containers, hosts, checks, alerts, metrics.

import { h, fill } from '../dom.js';
import { icon } from '../icons.js';
import { dialog } from '../menu.js';
import { get } from '../api.js';
import { go, patch, view } from '../router.js';
import { toggled, writeScope } from '../scope.js';

const PAGES = [['home', 'Home and infrastructure'], ['metrics', 'Metrics'], ['logs', 'Logs'], ['alerts', 'Alerts'], ['checks', 'Checks'], ['agents', 'Agents']];
const SHOWN = 40;
let open = false;

export function openSearch() {
  if (open) return;
  open = true;
  const controller = new AbortController();
  let things = PAGES.map(([page, label]) => ({ kind: 'Page', label, run: () => go(page) }));
  let found = [];
  let selected = 0;
  const input = h('input', { class: 'bare', type: 'text', placeholder: 'Search by name', 'aria-label': 'Search by name', spellcheck: 'false', autocomplete: 'off' });
  const list = h('div', { class: 'list', role: 'listbox' });
  const close = dialog([h('div', { class: 'input' }, icon('search'), input, h('kbd', {}, 'Esc')), list], () => { open = false; controller.abort(); });
  input.focus();

  function draw() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = things.map((thing) => ({ thing, score: score(thing, words) })).filter((one) => one.score > 0)
      .sort((a, b) => b.score - a.score).slice(0, SHOWN).map((one) => one.thing);
    selected = Math.min(selected, Math.max(0, found.length - 1));
    fill(list, found.length === 0 && h('div', { class: 'empty' }, `Nothing is called “${input.value}”.`), found.map((thing, index) => h('button', {
      class: 'item', role: 'option', 'aria-selected': String(index === selected), onclick: () => { close(); thing.run(); },
    }, h('span', { class: 'kind' }, thing.kind), h('span', { class: 'cut' }, thing.label), thing.aside && h('span', { class: 'dim cut', style: { marginLeft: 'auto' } }, thing.aside))));
    const at = list.querySelector('[aria-selected="true"]');
    if (at) at.scrollIntoView({ block: 'nearest' });
  }
  input.addEventListener('input', () => { selected = 0; draw(); });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      selected = Math.max(0, Math.min(found.length - 1, selected + (event.key === 'ArrowDown' ? 1 : -1)));
      draw();
    } else if (event.key === 'Enter' && found[selected]) {
      close();
      found[selected].run();
    }
  });
  draw();
  for (const source of SOURCES) {
    source(controller.signal).then((more) => { things = [...things, ...more]; draw(); }, () => {
      // A source that does not answer only leaves its names out.
    });
  }
}

/** How well all words fit: at the start of the name best, then at the start of a part, then anywhere. */
function score({ label, aside = '', kind }, words) {
  if (words.length === 0) return kind === 'Page' ? 2 : 1;
  const name = label.toLowerCase();
  const all = `${name} ${aside.toLowerCase()} ${kind.toLowerCase()}`;
  let sum = 0;
  for (const word of words) {
    if (!all.includes(word)) return 0;
    if (name.startsWith(word)) sum += 8;
    else if (new RegExp(`(^|[^a-z0-9])${word.replace(/[^\w]/g, '.')}`).test(name)) sum += 5;
    else sum += name.includes(word) ? 3 : 1;
  }
  return sum - name.length / 200;
}

const SOURCES = [
  async (signal) => {
    const { containers } = await get('/api/containers', {}, { signal });
    const services = new Set(containers.map((one) => one.service).filter(Boolean));
    return [
      ...containers.map(({ id, name, image }) => ({ kind: 'Container', label: name, aside: image, run: () => go('home', { panel: `container:${id}` }) })),
      ...[...services].map((service) => ({ kind: 'Service', label: service, aside: 'narrow the scope', run: () => addToScope('service', service) })),
    ];
  },
  async (signal) => (await get('/api/hosts', {}, { signal })).hosts.map(({ node }) => ({ kind: 'Host', label: node, run: () => go('home', { panel: `host:${node}` }) })),
  async (signal) => (await get('/api/checks', {}, { signal })).checks.map(({ name, url, target }) => ({ kind: 'Check', label: name, aside: url || target, run: () => go('checks', { panel: name }) })),
  async (signal) => (await get('/prom/api/v1/rules', { type: 'alert' }, { signal })).data.groups
    .flatMap((group) => group.rules.map((rule) => ({ kind: 'Alert', label: rule.name, aside: group.name, run: () => go('alerts', { panel: `rule:${group.name}/${rule.name}` }) }))),
  async (signal) => (await get('/prom/api/v1/label/__name__/values', {}, { signal })).data.map((name) => ({ kind: 'Metric', label: name, run: () => go('metrics', { q: name }) })),
];

function addToScope(name, value) {
  const chips = view().scope.filter((chip) => chip.name !== name);
  patch({ scope: writeScope(toggled(chips, { name, value })) });
}
