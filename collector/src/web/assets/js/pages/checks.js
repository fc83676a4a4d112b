// Checks: is it up from outside? One row each: verdict, the last 90 runs, latency, certificate.

import { h, fill, framed } from '../dom.js';
import { icon, mark } from '../icons.js';
import { get } from '../api.js';
import { empty, loader } from '../states.js';
import { panelHost } from '../panel.js';
import { table } from '../table.js';
import { patch, view } from '../router.js';
import { passes } from '../scope.js';
import { ABSENT, both, exact, number, plural, quantity, when } from '../format.js';
import { drawTicks, tickTip } from './checks/ticks.js';
import { checkPanel } from './checks/panel.js';

export const title = 'Checks';
const RANK = { down: 5, failing: 4, recovering: 3, unknown: 2, up: 1 };
export const LEVEL = { up: 'ok', failing: 'warning', recovering: 'warning', partial: 'warning', down: 'critical', unknown: 'unknown', nodata: 'none' };
/** Days before the end of a certificate at which people are told. */
const SOON = 14;
const VERY_SOON = 3;

const EXAMPLE = `# /etc/yagura/checks/shop.yaml, named in the collector's config under \`checks:\`
checks:
  - name: shop-front
    url: https://shop.example.com/
    interval: 60s
    expect: {status: [200], body_contains: "Add to cart"}`;

export function open(ctx) {
  const filter = h('input', { class: 'bare', type: 'search', placeholder: 'Filter checks', 'aria-label': 'Filter checks', 'data-filter': true, spellcheck: 'false' });
  const headline = h('h1');
  const body = h('div');
  const tools = h('div', { class: 'tools' }, h('label', { class: 'field searchfield' }, icon('search'), filter));
  fill(ctx.root, h('div', { class: 'pad explore' }, headline, tools, body));
  const tableHost = h('div', { class: 'card' });
  const nothing = h('div');
  let checks = [];
  let location = '';

  const list = table(tableHost, {
    scroller: ctx.root, label: 'Checks', keyOf: (row) => row.name, open: (name) => panel.toggle(name), onSort: (sort) => patch({ sort }, { replace: true }),
    rowHeight: () => (matchMedia('(pointer: coarse)').matches ? 48 : 40),
    columns: [
      { key: 'verdict', label: 'Verdict', min: 84, priority: 1, value: (row) => RANK[row.verdict] || 0, cell: (row) => h('span', { class: `state ${LEVEL[row.verdict] || 'unknown'}`, title: row.since ? `since ${both(row.since, Date.now(), view().utc)}` : null }, mark(LEVEL[row.verdict] || 'unknown'), h('span', { class: 'word' }, row.verdict)) },
      { key: 'name', label: 'Check', first: 'up', min: 110, grow: 2, priority: 0, value: (row) => row.name, cell: (row) => h('div', { class: 'two' }, h('b', { class: 'cut' }, row.name), h('span', { class: 'dim cut', title: row.url }, (row.last && row.verdict !== 'up' && row.last.reason) || row.url)) },
      { key: 'ticks', label: 'Last 90 runs', min: 190, grow: 2.5, priority: 3, cell: () => h('canvas', { class: 'ticks' }), after: (row, element) => { const canvas = element.querySelector('canvas.ticks'); if (canvas) drawTicks(canvas, row.ticks || []); } },
      { key: 'uptime', label: 'Of them up', min: 72, right: true, priority: 5, value: uptime, cell: (row) => (uptime(row) === null ? ABSENT : `${number(uptime(row) * 100)} %`) },
      { key: 'latency', label: 'Took', min: 68, right: true, priority: 2, value: (row) => row.last && row.last.duration_seconds, cell: (row) => (row.last ? h('span', { title: exact(row.last.duration_seconds, 'seconds') }, quantity(row.last.duration_seconds, 'seconds')) : ABSENT) },
      { key: 'certificate', label: 'Certificate', min: 84, right: true, priority: 4, value: (row) => days(row), cell: certificateCell },
      { key: 'run', label: 'Last run', min: 92, right: true, priority: 6, value: (row) => row.last && row.last.started, cell: (row) => (row.last ? h('span', { title: both(row.last.started, Date.now(), view().utc) }, when(row.last.started, Date.now(), view().utc)) : ABSENT) },
      { key: 'from', label: 'From', min: 84, priority: 7, cell: () => h('span', { class: 'soft' }, location || ABSENT) },
    ],
  });
  tableHost.addEventListener('pointermove', tickTip);
  tableHost.addEventListener('pointerleave', () => tickTip(null));
  ctx.signal.addEventListener('abort', () => { list.destroy(); tickTip(null); });
  addEventListener('themechange', list.redraw, { signal: ctx.signal });

  const panel = panelHost(ctx, {
    order: () => list.order(),
    draw(name, place) {
      checkPanel(name, () => checks.find((one) => one.name === name), place, ctx);
      list.select(name, { scroll: true });
    },
  });

  const load = loader(body, {
    what: 'the checks', signal: ctx.signal, lines: 5,
    ask: (signal) => get('/api/checks', {}, { signal }),
    show(answer, host) {
      checks = answer.checks;
      location = answer.location || '';
      if (tableHost.parentNode !== host) fill(host, tableHost, nothing);
      draw();
      panel.sync();
    },
  });

  const draw = framed(() => {
    if (ctx.signal.aborted) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const scoped = checks.filter((one) => passes(view().scope, { ...one.tags, check: one.name }));
    const shown = scoped.filter((one) => words.every((word) => `${one.name} ${one.url} ${one.verdict} ${Object.values(one.tags || {}).join(' ')}`.toLowerCase().includes(word)));
    fill(headline, sentence(scoped));
    tools.hidden = checks.length === 0;
    list.sort(view().params.get('sort') || 'verdict:down');
    list.set(shown);
    tableHost.hidden = shown.length === 0;
    fill(nothing, shown.length ? null : checks.length === 0
      ? empty('No check is set up', 'A check asks a URL on an interval, as a user would, and says when the answer is not the one expected:', EXAMPLE)
      : empty('No check matches', `${plural(checks.length, 'check')} ${checks.length === 1 ? 'has' : 'have'} another name or other tags.`));
    list.select(view().panel);
  });

  filter.value = view().params.get('f') || '';
  filter.addEventListener('input', () => { patch({ f: filter.value }, { replace: true }); draw(); });
  load();
  ctx.every(load);
  return {
    change(now) {
      draw();
      panel.sync();
      list.select(now.panel);
    },
    key: (event) => panel.key(event),
  };
}

function sentence(checks) {
  if (checks.length === 0) return 'Checks';
  const down = checks.filter((one) => one.verdict === 'down');
  const wavering = checks.filter((one) => one.verdict === 'failing' || one.verdict === 'recovering');
  const unknown = checks.filter((one) => one.verdict === 'unknown' || one.verdict === 'nodata');
  const soon = checks.filter((one) => days(one) !== null && days(one) <= SOON);
  const parts = [];
  if (down.length) parts.push(down.length === 1 ? `${down[0].name} is down` : `${down.length} of ${plural(checks.length, 'check')} are down`);
  if (wavering.length) parts.push(`${plural(wavering.length, 'check')} ${wavering.length === 1 ? 'wavers' : 'waver'}`);
  if (unknown.length) parts.push(`of ${plural(unknown.length, 'check')} nothing is known`);
  if (parts.length === 0) parts.push(checks.length === 1 ? 'The one check is up' : `All ${number(checks.length, 9)} checks are up`);
  if (soon.length) parts.push(soon.length === 1 ? `the certificate of ${soon[0].name} ends in ${plural(days(soon[0]), 'day')}` : `${soon.length} certificates end soon`);
  const text = parts.join('; ');
  return text[0] === text[0].toUpperCase() || down.length === 1 ? text : text[0].toUpperCase() + text.slice(1);
}

/** The share of the runs shown that were a success; runs that the checker spoiled count for neither. */
function uptime({ ticks }) {
  const known = (ticks || []).filter((one) => one.success === true || one.success === false);
  return known.length ? known.filter((one) => one.success).length / known.length : null;
}

function days({ last }) {
  return last && typeof last.certificate_days === 'number' ? last.certificate_days : null;
}

function certificateCell(row) {
  const left = days(row);
  if (left === null) return h('span', { class: 'dim' }, ABSENT);
  const level = left <= VERY_SOON ? 'critical' : left <= SOON ? 'warning' : '';
  return h('span', { class: level ? `state ${level}` : '', title: left < 0 ? 'ended' : `ends in ${plural(left, 'day')}` }, level && mark(level), h('span', { class: 'word' }, left < 0 ? 'ended' : `${number(left)} d`));
}
