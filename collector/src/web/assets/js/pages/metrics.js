// Metrics: queries in PromQL, their chart, and the same as a table.

import { h, fill } from '../dom.js';
import { icon } from '../icons.js';
import { aborted, instant, range } from '../api.js';
import { chart, swatch } from '../chart.js';
import { looks } from '../color.js';
import { limited, name, onGrid } from '../series.js';
import { empty, note, failure, skeleton } from '../states.js';
import { patch, refresh, view } from '../router.js';
import { matchers } from '../scope.js';
import { stepFor } from '../time.js';
import { plural, promDuration } from '../format.js';
import { withScope, errorOffset } from '../promql/tokens.js';
import { queryRow } from './metrics/queryrow.js';
import { seriesTable } from './metrics/seriestable.js';
import { start } from './metrics/start.js';
import { kindOf } from './metrics/kind.js';

export const title = 'Metrics';

export function open(ctx) {
  const rowsHost = h('div', { class: 'queries' });
  const bar = h('div', { class: 'tools' });
  const says = h('div', { class: 'says' });
  const chartHost = h('div', { class: 'card chartcard' });
  const tableHost = h('div', { class: 'card' });
  const results = h('div', { class: 'results', hidden: true }, chartHost, tableHost);
  const starting = h('div', { hidden: true });
  fill(ctx.root, h('div', { class: 'pad explore' }, rowsHost, bar, says, results, starting));
  let rows = [];
  let drawn = null;
  let current = null;
  let table = null;
  let styleKey = '';

  const option = (key) => view().params.get(key) || '';
  const stepText = h('span', { class: 'dim num' });
  const toggle = (key, label, hint) => h('button', { class: 'btn', title: hint, 'data-option': key, onclick: () => patch({ [key]: option(key) ? null : '1' }) }, label);
  fill(bar,
    h('button', { class: 'btn', onclick: () => { addRow(''); rows[rows.length - 1].focus(); } }, icon('plus'), 'Query'),
    h('button', { class: 'btn primary', title: 'Run (Enter)', onclick: () => commit() }, 'Run'),
    h('div', { class: 'group' }, toggle('stacked', 'Stacked', 'Lines on top of each other'), toggle('log', 'Log', 'Logarithmic values')), stepText);

  function addRow(text) {
    const row = queryRow({
      index: rows.length, text, run: () => commit(), signal: ctx.signal,
      remove: () => {
        if (rows.length === 1) { row.set(''); commit(); return; }
        rows = rows.filter((one) => one !== row);
        row.element.remove();
        rows.forEach((one, index) => one.index(index));
        commit();
      },
    });
    rows.push(row);
    rowsHost.append(row.element);
    row.single(rows.length === 1);
    rows[0].single(rows.length === 1);
  }

  /** What was typed goes into the URL; the same query once more is asked again. */
  function commit() {
    const queries = rows.map((row) => row.value.trim()).filter(Boolean);
    if (queries.join('\n') === view().params.getAll('q').filter(Boolean).join('\n')) load();
    else patch({ q: queries });
  }

  function sync() {
    const queries = view().params.getAll('q').filter(Boolean);
    if (rows.map((row) => row.value.trim()).filter(Boolean).join('\n') !== queries.join('\n') || rows.length === 0) {
      for (const row of rows) row.destroy();
      rows = [];
      rowsHost.replaceChildren();
      for (const text of queries.length ? queries : ['']) addRow(text);
    }
    for (const button of bar.querySelectorAll('[data-option]')) button.setAttribute('aria-pressed', String(!!option(button.dataset.option)));
    load();
  }

  async function load() {
    if (current) current.abort();
    const mine = new AbortController();
    current = mine;
    const signal = AbortSignal.any([ctx.signal, mine.signal]);
    const queries = view().params.getAll('q').filter(Boolean);
    starting.hidden = queries.length > 0;
    if (queries.length === 0) {
      results.hidden = true;
      says.replaceChildren();
      stepText.textContent = '';
      start(starting, { signal, choose: (text) => { rows[0].set(text); commit(); } });
      return;
    }
    const now = refresh();
    const step = stepFor(now, chartHost.clientWidth || ctx.root.clientWidth || 900, 3);
    stepText.textContent = `one point every ${promDuration(step)}`;
    if (results.hidden) fill(says, skeleton(3));
    const scoped = queries.map((query) => withScope(query, now.scope, matchers));
    const answers = await Promise.allSettled(scoped.map((query) => range(query, { from: now.from, to: now.to, step }, { signal })));
    if (signal.aborted) return;
    show({ now, step, queries, scoped, answers, signal });
  }

  function show({ now, queries, scoped, answers, signal }) {
    const notes = [];
    const all = [];
    let times = null;
    answers.forEach((answer, index) => {
      const row = rows[index];
      if (answer.status === 'rejected') {
        if (aborted(answer.reason)) return;
        const offset = scoped[index] === queries[index] ? errorOffset(answer.reason.message, queries[index]) : -1;
        if (row) row.fault(offset);
        notes.push(failure(answer.reason, queries.length > 1 ? `query ${letter(index)}` : 'the query', load));
        return;
      }
      if (row) row.fault(-1);
      for (const warning of answer.value.warnings) notes.push(note('warning', queries.length > 1 ? `${letter(index)}: ` : '', warning));
      const grid = onGrid(answer.value);
      times = grid.times;
      for (const one of grid.series) all.push({ ...one, query: index, key: `${index} ${one.key}` });
    });
    if (now.scope.length) notes.unshift(h('div', { class: 'dim' }, 'Narrowed by the scope. Asked: ', h('code', {}, scoped.join('  |  '))));
    fill(says, notes);
    const failed = answers.every((answer) => answer.status === 'rejected');
    results.hidden = failed || all.length === 0;
    if (all.length === 0 && !failed) says.append(noData(now));
    if (results.hidden) return;
    name(all);
    if (queries.length > 1) for (const one of all) one.label = `${letter(one.query)} · ${one.label}`;
    const { drawn: lines, rest } = limited(all);
    if (rest) says.append(note('none', `${plural(all.length, 'series', 'series')}: the ${lines.length - 1} largest are drawn, the other ${rest} are summed. All stand in the table below; narrow the query to see them apart.`));
    const kind = kindOf(queries);
    const key = [kind, option('stacked'), option('log')].join();
    if (!drawn || key !== styleKey) {
      if (drawn) drawn.destroy();
      styleKey = key;
      drawn = chart(chartHost, { title: '', kind, height: Math.max(220, Math.min(420, innerHeight - 420)), stacked: !!option('stacked'), log: !!option('log'), legend: false });
      ctx.signal.addEventListener('abort', drawn.destroy);
    }
    drawn.set({ times, series: lines, range: [now.from / 1000, now.to / 1000] });
    const styles = looks(lines.filter((one) => !one.token).map((one) => one.key));
    if (!table) table = seriesTable(tableHost, { scroller: ctx.root, signal: ctx.signal, isolate: (one) => drawn.isolate(one) });
    table.set(all, { kind, mark: (one) => swatch(styles.get(one.key) || { token: '--other', dash: [2, 3] }) });
    instants(scoped, now, signal);
  }

  /** Series that end before the range does still have a value now; the table says which have not. */
  function instants(scoped, now, signal) {
    if (!now.relative) return;
    Promise.allSettled(scoped.map((query) => instant(query, now.to, { signal }))).then((answers) => {
      if (!signal.aborted && answers.some((answer) => answer.status === 'fulfilled')) table.now(answers.map((answer) => (answer.value ? answer.value.result : null)));
    });
  }

  function noData(now) {
    return empty('No data', `The query is valid, and nothing matches it in this time range${now.scope.length ? ' and scope' : ''}. Look at a longer time, or start from a metric's name alone.`);
  }

  sync();
  ctx.every(load);
  return {
    change(now, before) {
      const asked = (one) => [one.params.getAll('q').join('\n'), one.fromText, one.toText, one.utc, one.params.get('scope'), one.params.get('stacked'), one.params.get('log')].join('\n');
      if (asked(now) !== asked(before)) sync();
    },
    key(event) {
      if (event.key !== 'e') return false;
      rows[0].focus();
      return true;
    },
  };
}

const letter = (index) => String.fromCharCode(65 + (index % 26));
