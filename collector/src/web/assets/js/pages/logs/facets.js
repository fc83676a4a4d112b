// Facets: what the found lines have in common, with counts; a click narrows the search.

import { h, fill } from '../../dom.js';
import { icon } from '../../icons.js';
import { LEVELS, levelWord } from '../../loki.js';
import { quantity, number } from '../../format.js';
import { hasTerm } from './terms.js';

const NAMES = ['level', 'service', 'container', 'env', 'role', 'source', 'node', 'namespace', 'pod', 'stream'];
const SHOWN = 6;

export function facetList(host, choose) {
  const opened = new Set();
  let last = null;

  function set(rows, search, scope) {
    last = [rows, search, scope];
    const counts = new Map(NAMES.map((name) => [name, new Map()]));
    for (const { metric, value } of rows) {
      for (const name of NAMES) {
        const word = name === 'level' ? levelWord(metric.detected_level) : metric[name];
        if (word) counts.get(name).set(word, (counts.get(name).get(word) || 0) + value);
      }
    }
    fill(host, NAMES.filter((name) => counts.get(name).size > 0 && (counts.get(name).size > 1 || name === 'level' || name === 'service')).map((name) => facet(name, counts.get(name), search)));
    if (rows.length === 0) fill(host, h('p', { class: 'dim' }, 'Nothing to count.'));
  }

  function facet(name, counts, search) {
    const all = [...counts].sort((a, b) => (name === 'level' ? LEVELS.indexOf(a[0]) - LEVELS.indexOf(b[0]) : b[1] - a[1]));
    const shown = opened.has(name) || name === 'level' ? all : all.slice(0, SHOWN);
    const most = Math.max(...counts.values());
    return h('section', {}, h('h3', {}, name), h('ul', {}, shown.map(([value, count]) => {
      const state = hasTerm(search, { name, value });
      return h('li', { class: state > 0 ? 'in' : state < 0 ? 'out' : '' },
        h('button', { class: 'facet', title: `${name}:${value}`, 'aria-pressed': String(state > 0), 'data-level': name === 'level' ? value : null, onclick: () => choose(name, value, false) },
          name === 'level' && h('i'), h('span', { class: 'cut' }, value), h('span', { class: 'num dim', title: number(count, 9) }, quantity(count, 'count')),
          h('span', { class: 'part', style: { width: `${(100 * count) / most}%` } })),
        h('button', { class: 'not', title: `Without ${name}:${value}`, 'aria-label': `Without ${name} ${value}`, onclick: () => choose(name, value, true) }, icon('minus', 12)));
    })), all.length > SHOWN && name !== 'level' && h('button', { class: 'dim more', onclick: () => { if (opened.has(name)) opened.delete(name); else opened.add(name); set(...last); } }, opened.has(name) ? 'fewer' : `${all.length - SHOWN} more`));
  }
  return { set };
}
