// One alert or rule: what it says, its expression with the threshold, when it crossed, who was told, and silence in two clicks.

import { h, fill } from '../../dom.js';
import { icon, mark } from '../../icons.js';
import { range, aborted, send } from '../../api.js';
import { chart } from '../../chart.js';
import { limited, onGrid } from '../../series.js';
import { empty, failure } from '../../states.js';
import { copyButton } from '../../states.js';
import { choices } from '../../menu.js';
import { href, onView, view } from '../../router.js';
import { stepFor } from '../../time.js';
import { both, clock, day, duration, number, when } from '../../format.js';
import { comparison } from '../../promql/compare.js';
import { kindOf } from '../metrics/kind.js';
import { countLines } from '../../loki.js';
import { facts } from '../home/panelparts.js';

export function alertPanel(id, find, place, ctx, actions) {
  const row = find();
  if (!row) {
    fill(place.title, h('h2', {}, 'Not among the alerts'));
    fill(place.body, empty('This alert is not active', 'It has been resolved, or its rule is gone. The table shows what there is.'));
    const wait = setInterval(() => { if (find()) { clearInterval(wait); fill(place.body); alertPanel(id, find, place, ctx, actions); } }, 300);
    place.signal.addEventListener('abort', () => clearInterval(wait));
    return;
  }
  const { rule, group, labels } = row;
  fill(place.title, h('h2', {}, mark(row.level, 11), ' ', row.name), h('div', { class: 'soft' }, row.alert ? row.about : 'inactive: the expression gives nothing now'));
  if (row.alert) fill(place.actions, silenceButton(row, place, actions));
  const chartHost = h('section');
  fill(place.body,
    row.annotations.description && h('p', {}, spoken(row.annotations.description)),
    row.annotations.hint && h('p', { class: 'soft' }, h('b', {}, 'Do: '), spoken(row.annotations.hint)),
    facts([
      ['State', row.since ? `${row.state} since ${when(row.since, Date.now(), view().utc)}` : row.state],
      ['Value', row.value !== null && number(row.value, 6)],
      ['Runbook', link(row.annotations.runbook_url)], ['Dashboard', link(row.annotations.dashboard_url)],
      ['Rule', rule && [group.name, h('span', { class: 'dim' }, ` in ${group.file}`)]],
      ['For', rule && rule.duration > 0 && `${duration(rule.duration)} before it fires`],
      ['Evaluated', rule && rule.lastEvaluation && h('span', { title: both(Date.parse(rule.lastEvaluation), Date.now(), view().utc) }, `${when(Date.parse(rule.lastEvaluation), Date.now(), view().utc)}, in ${duration(rule.evaluationTime)}`)],
      ['Labels', h('div', { class: 'chips' }, Object.entries(labels).map(([name, value]) => h('span', { class: 'chip' }, h('span', { class: 'in' }, `${name}:`, h('b', {}, value)))))],
      ['Look at', lookAt(labels)],
    ]), chartHost, told(row));
  if (rule) expressionChart(rule, row, chartHost, place, ctx);
}

/** The template of a rule that gives nothing now: what would be filled in stands in angle brackets. */
function spoken(text) {
  return text.replace(/\{\{[^}]*\$labels\.(\w+)[^}]*\}\}/g, '‹$1›').replace(/\{\{[^}]*\$value[^}]*\}\}/g, '‹value›').replace(/\{\{[^}]*\}\}/g, '…');
}

function link(url) {
  return url && /^https?:\/\//.test(url) ? h('a', { href: url, target: '_blank', rel: 'noreferrer' }, url) : url;
}

/** Where the labels of an alert lead. */
function lookAt(labels) {
  const links = [];
  const container = labels.container || labels.name;
  if (container) links.push(h('a', { href: href('home', { panel: `container:${container}` }) }, 'the container'), h('a', { href: href('logs', { q: `container:${container}` }) }, 'its logs'));
  else if (labels.service) links.push(h('a', { href: href('logs', { q: `service:${labels.service}` }) }, 'logs of the service'));
  if (labels.instance || labels.node) links.push(h('a', { href: href('home', { panel: `host:${labels.instance || labels.node}` }) }, 'the host'));
  if (labels.check) links.push(h('a', { href: href('checks', { panel: labels.check }) }, 'the check'));
  return links.length > 0 && links.flatMap((one, index) => (index ? [' · ', one] : [one]));
}

function expressionChart(rule, row, host, place, ctx) {
  const split = comparison(rule.query);
  const query = split ? split.left : rule.query;
  const logs = isLogql(rule.query);
  const kind = split && !logs ? kindOf([query]) : 'count';
  const ask = (text, asked) => (logs ? countLines(text, asked) : range(text, asked, { signal: asked.signal }));
  const preview = h('p', { class: 'dim' });
  const problem = h('div');
  fill(host, h('h3', {}, 'Expression', h('span', { class: 'more' }, copyButton(rule.query, 'Copy the expression'), !logs && h('a', { class: 'btn plain', href: href('metrics', { q: query }) }, 'Open in Metrics'))),
    h('pre', { class: 'wholeline' }, rule.query));
  const drawn = chart(host, { title: split ? 'What it measures' : 'What it gives', kind, height: 180, query: logs ? null : query });
  host.append(preview, problem);
  place.signal.addEventListener('abort', drawn.destroy);

  async function load() {
    const now = view();
    const step = stepFor(now, 520, 3);
    try {
      const [measured, fired] = await Promise.all([
        ask(query, { from: now.from, to: now.to, step, signal: place.signal }),
        split ? ask(rule.query, { from: now.from, to: now.to, step, signal: place.signal }) : null,
      ]);
      if (place.signal.aborted) return;
      fill(problem);
      const grid = onGrid(measured);
      const mine = row.alert ? grid.series.filter((one) => belongs(one.labels, row.labels)) : [];
      const shown = mine.length ? mine : grid.series;
      drawn.set({
        times: grid.times, series: limited(shown).drawn, range: [now.from / 1000, now.to / 1000],
        thresholds: split ? [{ value: split.value, label: `fires ${split.op} ${number(split.value)}`, level: row.severity === 'warning' ? 'warning' : 'critical' }] : [],
        marks: marksOf(row),
      });
      fill(preview, grid.series.length === 0 ? 'Nothing was measured in this time range.' : fired ? spellsText(onGrid(fired), rule, step) : '');
    } catch (error) {
      if (!aborted(error) && !place.signal.aborted) fill(problem, failure(error, 'the expression', load));
    }
  }
  load();
  ctx.every(() => { if (!place.signal.aborted) load(); });
  place.signal.addEventListener('abort', onView((now, before) => {
    if (before && (now.fromText !== before.fromText || now.toText !== before.toText)) load();
  }));
}

/** Rules over logs are written in LogQL: a selector without a metric's name, or a pipe behind one. */
function isLogql(query) {
  return /\}\s*(\||!=|!~)/.test(query) || (/\(\s*\{/.test(query) && !/__name__/.test(query));
}

/** Whether a measured series is the one the alert is about: no label says otherwise. */
function belongs(series, labels) {
  return Object.entries(series).every(([name, value]) => name === '__name__' || labels[name] === undefined || labels[name] === value);
}

function marksOf(row) {
  const sent = (row.notified || []).map((one) => ({ time: one.at, label: `${one.receiver}: ${one.ok ? 'told' : one.text}`, level: one.ok ? 'none' : 'critical' }));
  return row.since ? [{ time: row.since, label: `${row.alert.state === 'firing' ? 'pending or firing' : 'pending'} since here`, level: 'warning' }, ...sent] : sent;
}

/** How often it was true, and how often for long enough to fire. */
function spellsText(grid, rule, step) {
  let spells = 0;
  let firing = 0;
  for (const { values } of grid.series) {
    let run = 0;
    for (const value of [...values, null]) {
      if (value !== null) { run += 1; continue; }
      if (run > 0) { spells += 1; if ((run - 1) * step >= (rule.duration || 0)) firing += 1; }
      run = 0;
    }
  }
  if (spells === 0) return 'It was not true at any time in this range.';
  return `It was true ${spells === 1 ? 'once' : `${spells} times`} in this range${rule.duration ? `, ${firing === 0 ? 'never' : firing === 1 ? 'once' : `${firing} times`} for long enough to fire` : ''}.`;
}

function told(row) {
  if (!row.alert) return null;
  const { notified = [], alert } = row;
  const body = notified.length === 0
    ? h('p', { class: 'dim' }, row.state === 'pending' ? 'Nobody yet: it is pending.' : row.state === 'silenced' ? 'Nobody: it is silenced.' : alert.receivers && alert.receivers.length ? `Routed to ${alert.receivers.join(', ')}; nothing has been sent yet.` : 'Nobody: no receiver is set. Name one in the file of the key `notify`.')
    : h('ul', { class: 'eventlist' }, [...notified].reverse().map((one) => h('li', {}, mark(one.ok ? 'ok' : 'critical'), h('span', { class: 'dim num', title: both(one.at, Date.now(), view().utc) }, when(one.at, Date.now(), view().utc)), h('span', {}, h('b', {}, one.receiver), ' ', one.ok ? 'took it' : one.text))));
  return h('section', {}, h('h3', {}, 'Who was told'), body);
}

/** First click: how long. Second click: done. */
function silenceButton(row, place, { reload }) {
  if (row.alert.silenced) {
    return h('button', { class: 'btn', onclick: async () => { await Promise.all(row.alert.silencedBy.map((one) => send('DELETE', `/alertmanager/api/v2/silence/${one}`))).catch((error) => fail(place, error)); reload(); place.panel.querySelector('header .btn').disabled = true; } }, icon('silence'), 'End silence');
  }
  const button = h('button', { class: 'btn', 'aria-haspopup': 'menu' }, icon('silence'), 'Silence');
  button.addEventListener('click', () => choices(button, ['Silence exactly this alert for', ...ends().map(({ label, at }) => ({
    label, aside: `until ${day(at, view().utc) === day(Date.now(), view().utc) ? '' : `${day(at, view().utc)} `}${clock(at, view().utc).slice(0, 5)}`,
    run: async () => {
      button.disabled = true;
      try {
        await send('POST', '/alertmanager/api/v2/silences', silence(row.labels, at));
        reload();
        fill(button, icon('silence'), 'Silenced');
      } catch (error) {
        button.disabled = false;
        fail(place, error);
      }
    },
  }))], { align: 'right' }));
  return button;
}

function fail(place, error) {
  place.body.prepend(failure(error, 'the silence', null, 'change'));
}

export function silence(labels, until) {
  return {
    matchers: Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true })),
    startsAt: new Date().toISOString(), endsAt: new Date(until).toISOString(), createdBy: 'web', comment: `silenced from the alert ${labels.alertname}`,
  };
}

function ends() {
  const now = Date.now();
  const morning = new Date(now);
  morning.setDate(morning.getDate() + 1);
  morning.setHours(9, 0, 0, 0);
  return [{ label: '1 hour', at: now + 3.6e6 }, { label: '4 hours', at: now + 1.44e7 }, { label: 'Tomorrow morning', at: morning.getTime() }, { label: '3 days', at: now + 2.592e8 }, { label: '1 week', at: now + 6.048e8 }];
}
