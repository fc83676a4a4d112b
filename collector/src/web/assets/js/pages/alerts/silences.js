// Silences: what is kept quiet, until when, by whom; ended with one click.

import { h, fill } from '../../dom.js';
import { get, send } from '../../api.js';
import { loader, stateWord, failure } from '../../states.js';
import { both, duration } from '../../format.js';
import { view } from '../../router.js';
import { read } from '../../alertsfeed.js';

export function silenceList(host, ctx, changed) {
  const body = h('div', { class: 'sidescroll silences' });
  const problem = h('div');
  fill(host, h('div', { class: 'sectionhead' }, h('h2', {}, 'Silences')), problem, body);
  const load = loader(body, {
    what: 'the silences', signal: ctx.signal, lines: 1,
    ask: (signal) => get('/alertmanager/api/v2/silences', {}, { signal }),
    show(all, into) {
      const known = all.filter((one) => one.status.state !== 'expired');
      if (known.length === 0) { fill(into, h('p', { class: 'dim' }, 'Nothing is silenced. Open an alert and press Silence.')); return; }
      const names = ['State', 'What', 'Ends', 'By', ''];
      fill(into, h('table', { class: 'plain' }, h('thead', {}, h('tr', {}, names.map((name) => h('th', {}, name)))), h('tbody', {}, known.map(row))));
    },
  });

  function row(one) {
    const ends = Date.parse(one.endsAt);
    return h('tr', {},
      h('td', {}, stateWord(one.status.state, 'silenced')),
      h('td', {}, h('div', { class: 'chips' }, one.matchers.map(matcherChip)), one.comment && h('div', { class: 'dim' }, one.comment)),
      h('td', { class: 'num', title: both(ends, Date.now(), view().utc) }, `in ${duration((ends - Date.now()) / 1000)}`),
      h('td', {}, one.createdBy),
      h('td', {}, h('button', { class: 'btn', onclick: (event) => end(one.id, event.currentTarget) }, 'End')));
  }

  async function end(id, button) {
    button.disabled = true;
    try {
      await send('DELETE', `/alertmanager/api/v2/silence/${id}`);
      fill(problem);
      load();
      changed();
      read();
    } catch (error) {
      button.disabled = false;
      fill(problem, failure(error, 'the silence', null, 'end'));
    }
  }
  load();
  return load;
}

function matcherChip({ name, value, isRegex, isEqual }) {
  const operator = `${isEqual === false ? '!' : ''}${isRegex ? '~' : isEqual === false ? '=' : ':'}`;
  return h('span', { class: 'chip' }, h('span', { class: 'in' }, name, operator, h('b', {}, value)));
}
