// The states a page must have besides its data: loading, empty, partial, error, stale, too much.

import { h, fill, copy } from './dom.js';
import { icon, levelOf, mark } from './icons.js';
import { aborted } from './api.js';
import { clock } from './format.js';
import { view } from './router.js';

/** The word of a state with its mark. */
export function stateWord(word, level = word) {
  return h('span', { class: `state ${levelOf(level)}` }, mark(level), h('span', { class: 'word' }, word));
}

/** A line that says something in place. */
export function note(level, ...content) {
  return h('div', { class: `note ${levelOf(level)}`, role: level === 'critical' ? 'alert' : 'status' }, mark(level), h('div', { class: 'say' }, content));
}

/** Nothing to show, and what would change that. */
export function empty(title, text, example) {
  return h('div', { class: 'empty' }, h('h2', {}, title), text && h('p', {}, text), example && h('pre', {}, example));
}

export function skeleton(lines = 4) {
  const widths = ['62%', '88%', '74%', '52%', '80%', '68%'];
  return h('div', { class: 'skeleton', 'aria-label': 'loading', role: 'status' },
    Array.from({ length: lines }, (_, index) => h('i', { style: { width: widths[index % widths.length] } })));
}

/** What was asked, what came back, and a way to ask again. */
export function failure(error, what, retry, verb = 'read') {
  const asked = error.url ? decodeURIComponent(error.url.replace(/\+/g, ' ')) : '';
  const code = error.status ? ` (${error.status}${error.kind ? ', ' + error.kind : ''})` : '';
  return h('div', { class: 'note critical', role: 'alert' }, mark('critical'),
    h('div', { class: 'say' },
      h('div', {}, h('b', {}, `Could not ${verb} ${what}`), code),
      h('pre', {}, error.message),
      asked && h('details', {}, h('summary', {}, 'What was asked'), h('pre', {}, asked))),
    retry && h('button', { class: 'btn', onclick: retry }, icon('retry'), 'Retry'));
}

/**
 * A part of a page that is read from the collector: `ask(signal)` gives its data, `show(data, host)` draws it.
 * Returns `run()`, which asks again. What was shown stays while a new answer is on its way or does not come; then it is
 * marked as old. `signal` is the page's: it ends all requests when the page is left.
 */
export function loader(host, { ask, show, what, signal, lines }) {
  let current = null;
  let shownAt = 0;
  const problem = h('div', { hidden: true });
  const body = h('div', { class: 'loaded' });
  append(host, problem, body);
  async function run() {
    if (current) current.abort();
    const mine = new AbortController();
    current = mine;
    const ended = signal ? AbortSignal.any([signal, mine.signal]) : mine.signal;
    if (!shownAt) fill(body, skeleton(lines));
    try {
      const data = await ask(ended);
      if (ended.aborted) return;
      problem.hidden = true;
      shownAt = Date.now();
      body.classList.remove('stale');
      show(data, body);
    } catch (error) {
      if (aborted(error) || ended.aborted) return;
      problem.hidden = false;
      fill(problem, failure(error, what, run));
      if (shownAt) {
        body.classList.add('stale');
        problem.firstChild.querySelector('.say').append(h('div', { class: 'soft' }, `Shown below is what was read at ${clock(shownAt, view().utc)}.`));
      } else fill(body);
    }
  }
  return run;
}

function append(host, ...nodes) {
  host.append(...nodes);
}

/** A small button that copies a text. */
export function copyButton(text, label = 'Copy') {
  const button = h('button', { class: 'btn plain icon', title: label, 'aria-label': label }, icon('copy'));
  button.addEventListener('click', (event) => {
    event.stopPropagation();
    copy(typeof text === 'function' ? text() : text, button);
  });
  return button;
}
