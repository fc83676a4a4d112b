// The table of containers: one line each, units once per column, what is wrong said in words.

import { h } from '../../dom.js';
import { mark } from '../../icons.js';
import { table } from '../../table.js';
import { column, exact, quantity, when, both, zone, ABSENT, isNumber } from '../../format.js';
import { drawSpark } from '../../spark.js';
import { shareToken } from '../../color.js';
import { patch, view } from '../../router.js';

/** Makes the table; `set(containers)` draws it. */
export function containerTable(host, { scroller, open, signal, group }) {
  let units = {};
  const figure = (key, kind) => (row) => h('span', { title: exact(row[key], kind) }, units[key] ? units[key].write(row[key]) : ABSENT);
  const unit = (key) => () => (units[key] ? units[key].unit : '');
  const list = table(host, {
    scroller, open, group, label: 'Containers', keyOf: (row) => row.id,
    onSort: (sort) => patch({ sort }, { replace: true }),
    rowHeight: () => (matchMedia('(pointer: coarse)').matches ? 44 : 28),
    groupLine: (name, rows) => groupLine(name, rows),
    columns: [
      { key: 'name', label: 'Container', first: 'up', min: 130, grow: 3, priority: 0, value: (row) => row.name, cell: nameCell },
      { key: 'need', label: 'State', min: 120, grow: 3.4, priority: 4, value: (row) => severity(row), cell: stateCell },
      { key: 'service', label: 'Service', first: 'up', min: 84, grow: 1.2, priority: 6, value: (row) => row.service || null, cell: (row) => row.service || h('span', { class: 'dim' }, ABSENT) },
      { key: 'node', label: 'Node', first: 'up', min: 76, grow: 1, priority: 8, when: () => severalNodes, value: (row) => row.node || null, cell: (row) => row.node || ABSENT },
      { key: 'history', label: '', min: 60, priority: 3, cell: () => h('canvas', { class: 'spark', 'aria-hidden': 'true' }), after: spark },
      { key: 'cpu', label: 'CPU', unit: unit('cpu'), min: 76, right: true, priority: 1, value: (row) => row.cpu, cell: figure('cpu', 'cores') },
      { key: 'cpu_share', label: 'of limit', min: 70, right: true, priority: 5, value: (row) => share(row.cpu, row.cpu_limit), cell: (row) => bar(row.cpu, row.cpu_limit, 'cores') },
      { key: 'memory', label: 'Memory', unit: unit('memory'), min: 84, right: true, priority: 2, value: (row) => row.memory, cell: figure('memory', 'bytes') },
      { key: 'memory_share', label: 'of limit', min: 70, right: true, priority: 5, value: (row) => share(row.memory, row.memory_limit), cell: (row) => bar(row.memory, row.memory_limit, 'bytes') },
      { key: 'net_rx', label: 'Net in', unit: unit('net_rx'), min: 84, right: true, priority: 7, value: (row) => row.net_rx, cell: figure('net_rx', 'bytes/s') },
      { key: 'net_tx', label: 'Net out', unit: unit('net_tx'), min: 88, right: true, priority: 7, value: (row) => row.net_tx, cell: figure('net_tx', 'bytes/s') },
      { key: 'restarts', label: 'Restarts', min: 60, right: true, priority: 6, value: (row) => row.restarts, cell: figure('restarts', 'count') },
      { key: 'started', label: 'Started', min: 88, unit: () => zone(Date.now(), view().utc), right: true, priority: 9, value: (row) => row.started, cell: (row) => h('span', { title: both(row.started, Date.now(), view().utc) }, short(row.started)) },
    ],
  });
  let severalNodes = false;
  signal.addEventListener('abort', list.destroy);
  addEventListener('themechange', list.redraw, { signal });

  return {
    order: list.order,
    select: list.select,
    set(containers) {
      severalNodes = new Set(containers.map((row) => row.node)).size > 1;
      const of = (key, kind) => column(containers.map((row) => row[key]), kind);
      units = { cpu: of('cpu', 'cores'), memory: of('memory', 'bytes'), net_rx: of('net_rx', 'bytes/s'), net_tx: of('net_tx', 'bytes/s'), restarts: of('restarts', 'count') };
      list.sort(view().params.get('sort') || 'need:down');
      list.set(containers);
    },
  };
}

/** The start, without the zone that stands in the head. */
function short(ms) {
  return when(ms, Date.now(), view().utc).replace(/ UTC\S*$/, '');
}

const RANK = { critical: 4, warning: 3, nodata: 2, unknown: 2, ok: 1, muted: 0 };

/** Those in need first; within a rank the busier ones. */
function severity(row) {
  const busy = Math.min(0.9, (row.cpu || 0) / 64);
  return (RANK[row.level] ?? 1) + (row.state === 'running' ? 0.05 : 0) + busy * 0.9;
}

function nameCell(row) {
  return [mark(row.level), ' ', h('span', { class: 'name', title: `${row.name}\n${row.image || ''}` }, row.name)];
}

/** The state in words: what is wrong when something is, the state of the API otherwise. */
function stateCell(row) {
  if (row.why && row.why.length) return h('span', { class: `state ${row.level === 'critical' ? 'critical' : row.level === 'warning' ? 'warning' : 'none'}`, title: row.why.join('\n') }, h('span', { class: 'word cut' }, row.why.join(', ')));
  const word = row.health && row.health !== 'none' && row.state === 'running' ? `${row.state}, ${row.health}` : row.state || 'unknown';
  return h('span', { class: 'soft' }, row.state === 'exited' && isNumber(row.exit_code) ? `exited (${row.exit_code})` : word);
}

function share(value, limit) {
  return limit > 0 && isNumber(value) ? value / limit : null;
}

function bar(value, limit, kind) {
  const part = share(value, limit);
  if (part === null) return h('span', { class: 'dim', title: limit > 0 ? 'no data' : 'no limit set' }, ABSENT);
  const level = { '--critical': 'critical', '--warning': 'warning' }[shareToken(part)] || '';
  return h('span', { title: `${quantity(value, kind)} of ${quantity(limit, kind)}` }, `${Math.round(part * 100)} %`,
    h('span', { class: 'bar wide-only', style: { width: '22px' } }, h('i', { class: level, style: { width: `${Math.min(100, part * 100)}%` } })));
}

function spark(row, element) {
  const canvas = element.querySelector('canvas.spark');
  if (canvas) drawSpark(canvas, row.history, { color: '--d0', max: row.cpu_limit && row.cpu_limit < 4 * Math.max(...row.history, 0) ? row.cpu_limit : 0 });
}

function groupLine(name, rows) {
  const ill = rows.filter((row) => row.level === 'critical' || row.level === 'warning').length;
  const sum = (key) => rows.reduce((total, row) => total + (row[key] || 0), 0);
  return [name || 'none', h('span', { class: 'dim' }, `  ${rows.length} · ${quantity(sum('cpu'), 'cores')} · ${quantity(sum('memory'), 'bytes')}${ill ? ` · ${ill} in need` : ''}`)];
}
