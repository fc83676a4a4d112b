// Pieces that the panels of containers and hosts share: charts of queries, tags that narrow the scope, links.

import { h, fill } from '../../dom.js';
import { range, aborted } from '../../api.js';
import { chart } from '../../chart.js';
import { limited, onGrid } from '../../series.js';
import { failure } from '../../states.js';
import { patch, view } from '../../router.js';
import { rateWindow, stepFor } from '../../time.js';
import { promDuration } from '../../format.js';
import { quote, toggled, writeScope } from '../../scope.js';

/**
 * A chart of one or more queries in a panel. `queries(window)` gives `[{query, label(labels), token?}]`.
 * Returns `{load(), destroy()}`; a chart whose queries have no data hides itself when `optional`.
 */
export function queryChart(host, { title, kind, queries, signal, thresholds, marks, optional = false, stacked = false, height = 130, top = 0 }) {
  const place = h('div');
  host.append(place);
  const step = () => stepFor(view(), Math.max(300, host.clientWidth || 500));
  const texts = () => queries(promDuration(rateWindow(step()))).map((one) => one.query);
  const drawn = chart(place, { title, kind, height, stacked, query: texts, top, area: true });
  signal.addEventListener('abort', drawn.destroy);
  const says = h('div');
  place.append(says);
  async function load() {
    const now = view();
    const asked = { from: now.from, to: now.to, step: step() };
    try {
      const list = queries(promDuration(rateWindow(asked.step)));
      const answers = await Promise.all(list.map((one) => range(one.query, asked, { signal })));
      if (signal.aborted) return;
      const grids = answers.map((answer) => onGrid(answer));
      const series = grids.flatMap((grid, index) => grid.series.map((one) => ({
        ...one, key: `${list[index].name || ''}${one.key}`, label: list[index].label ? list[index].label(one.labels) : one.label, token: list[index].token, dash: list[index].dash,
      })));
      place.hidden = optional && series.length === 0;
      fill(says, series.length === 0 && !optional ? h('div', { class: 'dim' }, 'no data in this time range') : null);
      drawn.set({
        times: grids[0].times, series: limited(series).drawn, range: [now.from / 1000, now.to / 1000],
        thresholds: typeof thresholds === 'function' ? thresholds() : thresholds, marks: typeof marks === 'function' ? marks() : marks,
      });
      drawn.root.querySelector('.plot').classList.remove('stale');
    } catch (error) {
      if (aborted(error) || signal.aborted) return;
      drawn.root.querySelector('.plot').classList.add('stale');
      fill(says, failure(error, title, load));
    }
  }
  return { load };
}

/** Tags as chips that narrow the scope. */
export function tagChips(tags) {
  return h('div', { class: 'chips' }, Object.entries(tags).filter(([, value]) => value).map(([name, value]) => h('span', { class: 'chip' },
    h('button', { title: `Narrow the scope to ${name}:${value}`, onclick: () => patch({ scope: writeScope(toggled(view().scope, { name, value })), panel: null }) }, `${name}:`, h('b', {}, value)))));
}

export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

export { quote };
