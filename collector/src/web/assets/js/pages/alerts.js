// Alerts: what fires, what may soon, what is quiet; when each was in which state; who was told.

import { h, fill, framed } from '../dom.js';
import { icon, mark } from '../icons.js';
import { get, range } from '../api.js';
import { alertsNow, keyOf, read as readAgain } from '../alertsfeed.js';
import { empty, loader, note } from '../states.js';
import { panelHost } from '../panel.js';
import { table } from '../table.js';
import { patch, view } from '../router.js';
import { passes } from '../scope.js';
import { stepFor } from '../time.js';
import { both, when, number, toValue, ABSENT, plural } from '../format.js';
import { drawLane, laneTip, lanesOf } from './alerts/lanes.js';
import { alertPanel } from './alerts/panel.js';
import { silenceList } from './alerts/silences.js';

export const title = 'Alerts';
const STATES = ['firing', 'pending', 'silenced', 'inactive'];
const RANK = { firing: 4, pending: 3, silenced: 2, inactive: 1 };

export function open(ctx) {
  const filter = h('input', { class: 'bare', type: 'search', placeholder: 'Filter alerts', 'aria-label': 'Filter alerts', 'data-filter': true, spellcheck: 'false' });
  const headline = h('h1');
  const states = h('div', { class: 'group' });
  const problems = h('div', { class: 'says' });
  const body = h('div');
  const silences = h('section', { class: 'card' });
  fill(ctx.root, h('div', { class: 'pad explore' }, headline,
    h('div', { class: 'tools' }, h('label', { class: 'field searchfield' }, icon('search'), filter), states), problems, body, silences));
  const tableHost = h('div', { class: 'card' });
  const nothing = h('div');
  let rows = [];
  let lanes = new Map();

  const list = table(tableHost, {
    scroller: ctx.root, label: 'Alerts', keyOf: (row) => row.id, open: (id) => panel.toggle(id), onSort: (sort) => patch({ sort }, { replace: true }),
    rowHeight: () => (matchMedia('(pointer: coarse)').matches ? 48 : 36),
    columns: [
      { key: 'state', label: 'State', min: 80, priority: 1, value: (row) => RANK[row.state] + (row.severity === 'critical' ? 0.5 : 0), cell: (row) => h('span', { class: `state ${row.level}` }, mark(row.level), h('span', { class: 'word' }, row.state)) },
      { key: 'name', label: 'Alert', first: 'up', min: 110, grow: 2, priority: 0, value: (row) => row.name, cell: (row) => h('div', { class: 'two' }, h('b', { class: 'cut' }, row.name), h('span', { class: 'dim cut', title: row.about }, row.about)) },
      { key: 'lane', label: 'In this time range', min: 180, grow: 3, priority: 4, cell: () => h('canvas', { class: 'lane' }), after: (row, element) => { const canvas = element.querySelector('canvas.lane'); if (canvas) { canvas.row = row; drawLane(canvas, lanes.get(row.lane) || [], view()); } } },
      { key: 'value', label: 'Value', min: 64, right: true, priority: 5, value: (row) => row.value, cell: (row) => (row.value === null ? ABSENT : number(row.value)) },
      { key: 'since', label: 'Since', min: 84, right: true, priority: 2, value: (row) => row.since, cell: (row) => (row.since ? h('span', { title: both(row.since, Date.now(), view().utc) }, when(row.since, Date.now(), view().utc)) : ABSENT) },
      { key: 'told', label: 'Told', min: 76, priority: 6, cell: (row) => (row.told ? h('span', { class: row.toldLevel === 'critical' ? 'state critical' : 'soft' }, h('span', { class: 'word cut' }, row.told)) : h('span', { class: 'dim' }, ABSENT)) },
    ],
  });
  tableHost.addEventListener('pointermove', (event) => laneTip(event, lanes));
  tableHost.addEventListener('pointerleave', () => laneTip(null));
  ctx.signal.addEventListener('abort', () => { list.destroy(); laneTip(null); });
  addEventListener('themechange', list.redraw, { signal: ctx.signal });

  const panel = panelHost(ctx, {
    order: () => list.order(),
    draw(id, place) {
      alertPanel(id, () => rows.find((row) => row.id === id), place, ctx, { reload: () => { load(); readAgain(); } });
      list.select(id, { scroll: true });
    },
  });

  const load = loader(body, {
    what: 'the alerts', signal: ctx.signal, lines: 6,
    async ask(signal) {
      const now = view();
      const [rules, alerts, history, past] = await Promise.allSettled([
        get('/prom/api/v1/rules', {}, { signal }), alertsNow(signal), get('/api/alerts/history', { from: Math.round(now.from), to: Math.round(now.to) }, { signal }),
        range('ALERTS', { from: now.from, to: now.to, step: stepFor(now, 600, 4) }, { signal }),
      ]);
      if (rules.status === 'rejected') throw rules.reason;
      if (alerts.status === 'rejected') throw alerts.reason;
      return { groups: rules.value.data.groups, alerts: alerts.value, history: history.value || null, past: past.value || null, missing: [history, past].filter((one) => one.status === 'rejected').map((one) => one.reason) };
    },
    show(data, host) {
      rows = rowsOf(data);
      lanes = lanesOf(data.past, view());
      if (tableHost.parentNode !== host) fill(host, tableHost, nothing);
      drawProblems(data);
      draw();
      panel.sync();
      list.select(view().panel);
    },
  });

  function drawProblems({ groups, history, missing }) {
    const ill = groups.flatMap((group) => group.rules.filter((rule) => rule.health === 'err').map((rule) => [group, rule]));
    fill(problems, ill.map(([group, rule]) => note('warning', h('b', {}, `${rule.name} cannot be evaluated. `), rule.lastError, ' ', h('span', { class: 'dim' }, `${group.name}, ${group.file}`))),
      ((history && history.broken) || []).map(({ receiver, reason }) => note('critical', h('b', {}, `${receiver} refuses messages. `), reason)),
      missing.length > 0 && note('warning', h('b', {}, 'The history is missing. '), missing[0].message));
  }

  const draw = framed(() => {
    if (ctx.signal.aborted) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const scoped = rows.filter((row) => row.state === 'inactive' ? view().scope.length === 0 : passes(view().scope, row.labels));
    const wanted = view().params.get('state') || '';
    const shown = scoped.filter((row) => (!wanted || row.state === wanted) && words.every((word) => row.words.includes(word)));
    const counts = Object.fromEntries(STATES.map((state) => [state, scoped.filter((row) => row.state === state).length]));
    fill(headline, sentence(counts));
    fill(states, ['', ...STATES].map((state) => h('button', { class: 'btn', 'aria-pressed': String(state === wanted), title: state || 'all', onclick: () => patch({ state: state === wanted ? null : state }, { replace: true }) },
      state ? [mark(state), h('span', { class: 'wide-only' }, state[0].toUpperCase() + state.slice(1)), h('span', { class: 'dim num' }, counts[state])] : 'All')));
    list.sort(view().params.get('sort') || 'state:down');
    list.set(shown);
    tableHost.hidden = shown.length === 0;
    fill(nothing, shown.length ? null : rows.length === 0
      ? empty('No rule is loaded', 'The collector reads Prometheus rule files, and has a set of its own for a Docker host:', '# collector.yaml, or below collector: in yagura.yaml\nrules: [/etc/yagura/rules/*.yaml]')
      : h('div', { class: 'empty' }, h('h2', {}, wanted ? `No alert is ${wanted}` : 'No alert matches'), h('button', { class: 'btn', onclick: () => { filter.value = ''; patch({ state: null, f: null }, { replace: true }); draw(); } }, 'Show all')));
  });

  filter.value = view().params.get('f') || '';
  filter.addEventListener('input', () => { patch({ f: filter.value }, { replace: true }); draw(); });
  const drawSilences = silenceList(silences, ctx, () => load());
  load();
  ctx.every(() => { load(); drawSilences(); });
  return {
    change(now, before) {
      if (now.fromText !== before.fromText || now.toText !== before.toText || now.utc !== before.utc) load();
      else draw();
      panel.sync();
      list.select(now.panel);
    },
    key: (event) => panel.key(event),
    reload: () => { load(); drawSilences(); },
  };
}

function sentence(counts) {
  if (counts.firing) return `${plural(counts.firing, 'alert')} ${counts.firing === 1 ? 'fires' : 'fire'}${counts.pending ? `, ${counts.pending} may soon` : ''}`;
  if (counts.pending) return `No alert fires; ${plural(counts.pending, 'alert')} may soon`;
  return counts.silenced ? 'No alert fires that is not silenced' : 'No alert fires';
}

/** One row for each active alert, and one for each rule that has none. */
function rowsOf({ groups, alerts, history }) {
  const rows = [];
  const left = new Map(alerts.map((alert) => [alert.key, alert]));
  const told = notifiedOf(history);
  for (const group of groups) {
    for (const rule of group.rules) {
      if (rule.type !== 'alerting') continue;
      const mine = (rule.alerts || []).map((alert) => left.get(keyOf(alert.labels)) || { ...alert, key: keyOf(alert.labels) });
      for (const alert of mine) { left.delete(alert.key); rows.push(activeRow(alert, rule, group, told)); }
      if (mine.length === 0) {
        rows.push({
          id: `rule:${group.name}/${rule.name}`, lane: rule.name, state: 'inactive', level: rule.health === 'err' ? 'warning' : 'ok', name: rule.name, about: rule.query, labels: rule.labels || {}, annotations: rule.annotations || {},
          value: null, since: 0, severity: (rule.labels || {}).severity, rule, group, alert: null, told: '', words: `${rule.name} ${rule.query} ${group.name} inactive`.toLowerCase(),
        });
      }
    }
  }
  for (const alert of left.values()) rows.push(activeRow(alert, null, null, told));
  return rows;
}

function activeRow(alert, rule, group, told) {
  const { alertname, ...rest } = alert.labels;
  const state = alert.silenced ? 'silenced' : alert.state;
  const level = state === 'silenced' ? 'muted' : state === 'pending' ? 'warning' : rest.severity === 'warning' || rest.severity === 'info' ? 'warning' : 'critical';
  const about = alert.annotations.summary || Object.entries(rest).map(([name, value]) => `${name}=${value}`).join(' ');
  const notified = told.get(alert.key) || [];
  const newest = notified[notified.length - 1];
  return {
    id: `alert:${alert.key}`, lane: alert.key, state, level, name: alertname, about, labels: alert.labels, annotations: alert.annotations, severity: rest.severity,
    value: toValue(alert.value), since: Date.parse(alert.activeAt), rule, group, alert, notified,
    told: state === 'silenced' ? 'silenced' : newest ? (newest.ok ? newest.receiver : `${newest.receiver}: failed`) : (alert.receivers || []).join(', '), toldLevel: newest && !newest.ok ? 'critical' : 'ok',
    words: `${alertname} ${about} ${Object.values(rest).join(' ')} ${state}`.toLowerCase(),
  };
}

/** Who was told about each alert, oldest first: `[{at, receiver, ok, text}]`. */
function notifiedOf(history) {
  const found = new Map();
  for (const one of (history && history.history) || []) {
    const list = (one.notifications || []).map((sent) => ({ at: sent.at, receiver: sent.receiver, ok: sent.status === 'sent', text: [sent.status, sent.reason].filter(Boolean).join(': '), resolved: sent.state === 'resolved' }));
    found.set(keyOf(one.labels), list.sort((a, b) => a.at - b.at));
  }
  return found;
}
