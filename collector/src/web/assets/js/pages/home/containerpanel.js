// One container: what is wrong in words, its charts, its logs, what happened to it.

import { h, fill } from '../../dom.js';
import { mark, levelOf } from '../../icons.js';
import { readLines, selector } from '../../loki.js';
import { logList } from '../../loglist.js';
import { copyButton, empty, loader, stateWord } from '../../states.js';
import { href, onView, view } from '../../router.js';
import { ABSENT, both, number, quantity, when } from '../../format.js';
import { matchers } from '../../scope.js';
import { facts, queryChart, quote, tagChips } from './panelparts.js';
import { tagsOf } from './model.js';
import { eventsOf, eventMark } from '../../events.js';

const LINES = 40;

export function containerPanel(key, find, place, ctx) {
  const one = find();
  const head = h('div');
  const about = h('section');
  place.title.append(head);
  place.body.append(about);
  if (!one) {
    // A link may name a container that is gone, or the list is still on its way.
    fill(head, h('h2', { class: 'mono cut' }, key.slice(0, 24)));
    fill(about, h('p', { class: 'soft' }, 'Looking for this container…'));
    let tries = 0;
    const timer = setInterval(() => {
      tries += 1;
      if (find()) {
        clearInterval(timer);
        place.body.replaceChildren();
        place.title.replaceChildren();
        containerPanel(key, find, place, ctx);
      } else if (tries > 20) {
        clearInterval(timer);
        fill(about, empty('This container is not known', 'It has gone and nothing of it was kept, or the link is cut short.'));
      }
    }, 150);
    place.signal.addEventListener('abort', () => clearInterval(timer));
    return;
  }
  const drawHead = () => drawAbout(find() || one, head, about);
  drawHead();
  const again = setInterval(drawHead, 5000);
  place.signal.addEventListener('abort', () => clearInterval(again));

  const charts = h('div', { class: 'charts' });
  const logs = h('section');
  const happened = h('section');
  place.body.append(charts, logs, happened);
  let marks = [];
  const drawn = chartsOf(one, charts, place.signal, () => marks);
  const read = logsOf(one, logs, place.signal);
  const events = eventSection(one, happened, place.signal, (found) => {
    marks = found.map(eventMark);
    for (const chart of drawn) chart.load();
  });
  const load = () => {
    for (const chart of drawn) chart.load();
    read();
    events();
  };
  load();
  ctx.every(() => { if (!place.signal.aborted) load(); });
  const stop = onView((now, before) => {
    if (before && (now.fromText !== before.fromText || now.toText !== before.toText || now.utc !== before.utc)) load();
  });
  place.signal.addEventListener('abort', stop);
}

function drawAbout(one, head, about) {
  const now = Date.now();
  fill(head, h('h2', {}, mark(one.level, 11), ' ', one.name),
    h('div', { class: 'soft cut', title: one.image }, one.image || ''));
  const state = [one.state, one.health && one.health !== 'none' ? one.health : '', one.state === 'exited' && one.exit_code !== undefined ? `code ${one.exit_code}` : ''].filter(Boolean).join(', ');
  fill(about,
    one.why && one.why.length > 0 && h('div', { class: `note ${levelOf(one.level)}` }, mark(one.level), h('div', { class: 'say' }, one.why.map((why) => h('div', {}, why)))),
    h('div', { style: { height: one.why && one.why.length ? '12px' : '0' } }),
    facts([
      ['State', stateWord(state || 'unknown', one.level)],
      ['CPU', [quantity(one.cpu, 'cores'), one.cpu_limit > 0 ? ` of ${quantity(one.cpu_limit, 'cores')}` : h('span', { class: 'dim' }, ', no limit')]],
      ['Throttled', one.throttled > 0 && `${number(one.throttled * 100)} % of periods`],
      ['Memory', [quantity(one.memory, 'bytes'), one.memory_limit > 0 ? ` of ${quantity(one.memory_limit, 'bytes')}` : h('span', { class: 'dim' }, ', no limit')]],
      ['Network', one.net_rx === undefined ? ABSENT : `${quantity(one.net_rx, 'bytes/s')} in, ${quantity(one.net_tx, 'bytes/s')} out`],
      ['Restarts', one.restarts === undefined ? ABSENT : number(one.restarts)],
      ['Started', one.started && h('span', { title: both(one.started, now, view().utc) }, when(one.started, now, view().utc))],
      ['Ports', one.ports],
      ['Id', h('span', {}, h('span', { class: 'mono' }, one.id.slice(0, 12)), ' ', copyButton(one.id, 'Copy the whole id'))],
      ['Tags', tagChips(tagsOf(one))],
    ]));
}

/** The matcher of a container's cgroup series: its path ends with the id, whoever made the path. */
export function idMatcher(one) {
  return /^[0-9a-f]{64}$/.test(one.id) ? `id=~${quote(`.*${one.id}.*`)}` : `id=${quote(one.id)}`;
}

function chartsOf(one, host, signal, marks) {
  const id = idMatcher(one);
  const common = { signal, marks };
  return [
    queryChart(host, {
      ...common, title: 'CPU', kind: 'cores',
      queries: (window) => [{ name: 'used', query: `sum(rate(container_cpu_usage_seconds_total{${id}}[${window}]))`, label: () => 'used', token: '--d0' }],
      thresholds: one.cpu_limit > 0 ? [{ value: one.cpu_limit, label: `limit ${quantity(one.cpu_limit, 'cores')}`, level: 'critical' }] : [],
    }),
    queryChart(host, {
      ...common, title: 'Throttled', kind: 'ratio', optional: true, height: 90,
      queries: (window) => [{ name: 'throttled', query: `sum(rate(container_cpu_cfs_throttled_periods_total{${id}}[${window}])) / sum(rate(container_cpu_cfs_periods_total{${id}}[${window}]))`, label: () => 'periods throttled', token: '--d1' }],
    }),
    queryChart(host, {
      ...common, title: 'Memory', kind: 'bytes',
      queries: () => [
        { name: 'set', query: `sum(container_memory_working_set_bytes{${id}})`, label: () => 'working set', token: '--d0' },
        { name: 'rss', query: `sum(container_memory_rss{${id}})`, label: () => 'anonymous', token: '--d2' },
        { name: 'cache', query: `sum(container_memory_cache{${id}})`, label: () => 'cache', token: '--d6' },
      ],
      thresholds: one.memory_limit > 0 ? [{ value: one.memory_limit, label: `limit ${quantity(one.memory_limit, 'bytes')}`, level: 'critical' }] : [],
    }),
    queryChart(host, {
      ...common, title: 'Network', kind: 'bytes/s', optional: true,
      queries: (window) => [
        { name: 'in', query: `sum(rate(container_network_receive_bytes_total{${id}}[${window}]))`, label: () => 'in', token: '--d2' },
        { name: 'out', query: `sum(rate(container_network_transmit_bytes_total{${id}}[${window}]))`, label: () => 'out', token: '--d3' },
      ],
    }),
    queryChart(host, {
      ...common, title: 'Disk', kind: 'bytes/s', optional: true,
      queries: (window) => [
        { name: 'read', query: `sum(rate(container_fs_reads_bytes_total{${id}}[${window}]))`, label: () => 'read', token: '--d4' },
        { name: 'write', query: `sum(rate(container_fs_writes_bytes_total{${id}}[${window}]))`, label: () => 'written', token: '--d5' },
      ],
    }),
  ];
}

function logsOf(one, host, signal) {
  const chips = [{ name: 'container', value: one.name }];
  if (one.node) chips.push({ name: 'node', value: one.node });
  const query = selector(matchers(chips));
  const body = h('div');
  host.append(h('h3', {}, 'Logs', h('a', { class: 'more', href: href('logs', { q: `container:${one.name}` }) }, 'Open in Logs')), body);
  return loader(body, {
    what: 'the logs', signal, lines: 3,
    ask: (ended) => readLines(query, { from: view().from, to: view().to + 1000, limit: LINES, signal: ended }),
    show: ({ lines, full }, into) => {
      if (lines.length === 0) { fill(into, h('p', { class: 'dim' }, 'It wrote nothing in this time range.')); return; }
      logList(into, lines);
      if (full) into.prepend(h('p', { class: 'dim' }, `The last ${LINES} lines; there are more.`));
    },
  });
}

function eventSection(one, host, signal, found) {
  const body = h('div');
  host.append(h('h3', {}, 'What happened'), body);
  let seen = '';
  return loader(body, {
    what: 'the events', signal, lines: 2,
    ask: (ended) => eventsOf(one, view(), ended),
    show: (events, into) => {
      const text = events.map((event) => event.time).join();
      if (text !== seen) { seen = text; found(events); }
      if (events.length === 0) { fill(into, h('p', { class: 'dim' }, 'No start, end, OOM kill or change of health in this time range.')); return; }
      fill(into, h('ul', { class: 'eventlist' }, [...events].reverse().map((event) => h('li', {}, mark(eventMark(event).level), h('span', { class: 'dim num', title: both(event.ms, Date.now(), view().utc) }, when(event.ms, Date.now(), view().utc)), h('span', {}, event.text)))));
    },
  });
}
