// All series of a chart as a table: least, mean, greatest, last; those that are gone now say so.

import { h } from '../../dom.js';
import { table } from '../../table.js';
import { column, exact, plural } from '../../format.js';
import { identity } from '../../color.js';
import { summary, seriesText } from '../../series.js';
import { copyButton } from '../../states.js';

export function seriesTable(host, { scroller, signal, isolate }) {
  let unit = { unit: '', write: String };
  let mark = () => null;
  let kind = '';
  let living = null;
  let rows = [];
  const count = h('h2');
  host.append(h('div', { class: 'sectionhead' }, count));
  const figure = (key, label) => ({
    key, label, min: 100, right: true, priority: key === 'last' ? 1 : 2, unit: () => unit.unit, value: (row) => row[key],
    cell: (row) => h('span', { title: exact(row[key], kind) }, unit.write(row[key])),
  });
  const list = table(host, {
    scroller, label: 'Series', keyOf: (row) => row.key, open: isolate,
    columns: [
      { key: 'label', label: 'Series', first: 'up', min: 150, grow: 1, priority: 0, value: (row) => row.label, cell: nameCell },
      figure('last', 'Last'), figure('mean', 'Mean'), figure('least', 'Min'), figure('greatest', 'Max'),
      { key: 'copy', label: '', min: 28, priority: 4, cell: (row) => copyButton(seriesText(row.labels), 'Copy the series') },
    ],
  });
  signal.addEventListener('abort', list.destroy);
  list.sort('mean:down');

  function nameCell(row) {
    const gone = living && !living.has(`${row.query} ${identity(row.labels)}`);
    return h('span', { class: 'seriesname', title: seriesText(row.labels) }, mark(row), h('span', { class: 'cut' }, row.label), gone && h('span', { class: 'dim' }, ' (ended)'));
  }

  return {
    set(series, options) {
      ({ kind, mark } = options);
      rows = series.map((one) => ({ ...one, ...summary(one.values) }));
      unit = column(rows.map((row) => row.mean), kind);
      count.textContent = plural(rows.length, 'series', 'series');
      list.set(rows);
    },
    /** The result of the instant queries: who has a value now. */
    now(results) {
      living = new Set();
      results.forEach((result, index) => {
        if (!Array.isArray(result) || !result.every((one) => one && one.metric)) for (const row of rows) { if (row.query === index) living.add(`${index} ${identity(row.labels)}`); }
        else for (const one of result) living.add(`${index} ${identity(one.metric)}`);
      });
      list.redraw();
    },
  };
}
