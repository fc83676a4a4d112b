// Logs: search, counts by level over time, facets, the lines, and what comes in while somebody looks.

import { h, fill, framed, settled } from '../dom.js';
import { icon } from '../icons.js';
import { aborted } from '../api.js';
import { compile, countLines, countNow, readLines } from '../loki.js';
import { empty, failure, note, skeleton } from '../states.js';
import { panelHost } from '../panel.js';
import { href, patch, refresh, view } from '../router.js';
import { number, promDuration, quantity } from '../format.js';
import { stepFor } from '../time.js';
import { facetList } from './logs/facets.js';
import { histogram } from './logs/histogram.js';
import { lineList } from './logs/list.js';
import { linePanel } from './logs/linepanel.js';
import { searchBox } from './logs/searchbox.js';
import { withTerm, highlights } from './logs/terms.js';
import { tail } from './logs/tail.js';

export const title = 'Logs';

const PAGE = 1000;
/** More lines than this are not kept in the page: the oldest (or newest) go. */
const MOST = 50_000;
const LABELS = ['detected_level', 'service', 'env', 'role', 'source', 'container', 'namespace', 'pod', 'node', 'stream'];

export function open(ctx) {
  ctx.root.classList.add('fixed');
  let current = null;
  let lines = [];
  let moreBefore = false;
  let loadingOlder = false;
  let keys = new Set();

  const search = searchBox({ run: (text) => (text === (view().params.get('q') || '') ? load() : patch({ q: text })), signal: ctx.signal });
  const count = h('span', { class: 'dim num', role: 'status' });
  const wrap = h('button', { class: 'btn icon', title: 'Wrap long lines', 'aria-label': 'Wrap long lines', onclick: () => patch({ wrap: view().params.get('wrap') ? null : '1' }, { replace: true }) }, icon('wrap'));
  const facetsButton = h('button', { class: 'btn phone-only', onclick: () => facetHost.classList.toggle('shown') }, 'Filter');
  const says = h('div', { class: 'says' });
  const chartHost = h('div', { class: 'loghistogram' });
  const facetHost = h('div', { class: 'facets' });
  const listHost = h('div', { class: 'loglines' });
  const waiting = h('button', { class: 'btn primary waiting', hidden: true, onclick: () => list.toEnd() });
  fill(ctx.root,
    h('div', { class: 'logtop' }, search.element, facetsButton, wrap, count),
    h('div', { class: 'logbody' }, facetHost, h('div', { class: 'logmain' }, says, chartHost, listHost, waiting)));

  const chart = histogram(chartHost, ctx.signal);
  const facets = facetList(facetHost, (name, value, negate) => patch({ q: withTerm(view().params.get('q') || '', { name, value, negate }) }));
  const list = lineList(listHost, {
    open: (line) => panel.toggle(line.key), signal: ctx.signal, older: () => loadOlder(),
    following: (follows, behind) => { waiting.hidden = follows || behind === 0; fill(waiting, `${number(behind, 9)} new below`, icon('down', 12)); },
  });
  const panel = panelHost(ctx, {
    order: () => lines.map((line) => line.key),
    draw(key, place) {
      const line = lines.find((one) => one.key === key);
      list.select(key, true);
      linePanel(key, line, place, {
        filter: (name, value, negate) => patch({ q: withTerm(view().params.get('q') || '', { name, value, negate }), panel: null }),
      });
    },
  });
  const live = tail({ signal: ctx.signal, got: (fresh, missed) => append(fresh, missed), trouble: (text) => drawTrouble(text) });

  function compiled() {
    return compile(view().params.get('q') || '', view().scope);
  }

  async function load() {
    if (current) current.abort();
    const mine = new AbortController();
    current = mine;
    const signal = AbortSignal.any([ctx.signal, mine.signal]);
    const now = refresh();
    const { query } = compiled();
    search.set(now.params.get('q') || '');
    list.mark(highlights(now.params.get('q') || ''));
    list.wrap(!!now.params.get('wrap'));
    wrap.setAttribute('aria-pressed', String(!!now.params.get('wrap')));
    fill(says);
    if (lines.length === 0) list.say(skeleton(8));
    // The tail is opened first: what is written between the two is then in both, and told apart by its key.
    live.set(now.live ? query : '');
    counts(now, query, signal);
    try {
      const found = await readLines(query, { from: now.from, to: now.to, limit: PAGE, signal });
      if (signal.aborted) return;
      lines = [];
      keys = new Set();
      moreBefore = found.full;
      add(found.lines);
      draw({ toEnd: true });
      panel.sync();
      chartHost.hidden = false;
      if (lines.length === 0) list.say(nothing(now));
    } catch (error) {
      if (aborted(error) || signal.aborted) return;
      lines = [];
      draw();
      list.say(null);
      chartHost.hidden = true;
      search.fault(error.message);
      fill(says, failure(error, 'the logs', load));
    }
  }

  /** Histogram and facets: what there is in the whole range, not only what is on the screen. */
  async function counts(now, query, signal) {
    const step = stepFor(now, chartHost.clientWidth || 900, 12);
    const seconds = Math.max(1, Math.round((now.to - now.from) / 1000));
    const [overTime, byLabel] = await Promise.allSettled([
      countLines(`sum by (detected_level) (count_over_time(${query} [${promDuration(step)}]))`, { from: now.from, to: now.to, step, signal }),
      countNow(`sum by (${LABELS.join(', ')}) (count_over_time(${query} [${promDuration(seconds)}]))`, { at: now.to, signal }),
    ]);
    if (signal.aborted) return;
    const problem = [overTime, byLabel].find((one) => one.status === 'rejected' && !aborted(one.reason));
    if (overTime.value) chart.set(overTime.value, now);
    if (byLabel.value) {
      facets.set(byLabel.value, now.params.get('q') || '', now.scope);
      const total = byLabel.value.reduce((sum, one) => sum + one.value, 0);
      fill(count, total === 0 ? '' : `${quantity(total, 'count')} lines`);
    }
    if (problem && !says.childElementCount) fill(says, note('warning', h('b', {}, 'Counts are missing. '), problem.reason.message));
  }

  function add(found) {
    const fresh = [];
    for (const line of found) {
      line.key = keyOf(line);
      // Two lines may agree in everything; the second gets a number, so that both are shown.
      if (found.live && keys.has(line.key)) continue;
      let twin = 1;
      const base = line.key;
      while (keys.has(line.key)) line.key = `${base}.${++twin}`;
      keys.add(line.key);
      fresh.push(line);
    }
    lines = lines.concat(fresh);
    return fresh;
  }

  const drawLater = framed(() => draw());

  function append(fresh, missed) {
    fresh.live = true;
    const added = add(fresh);
    if (missed) fill(says, note('warning', `${number(missed, 9)} lines came too fast to be shown here. They are stored: pause, or narrow the search.`));
    if (added.length === 0) return;
    // Lines of several streams arrive a little out of order; only the end needs sorting again.
    const tailFrom = Math.max(0, lines.length - added.length - 200);
    lines = lines.slice(0, tailFrom).concat(lines.slice(tailFrom).sort((a, b) => (a.time.length - b.time.length) || (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)));
    if (lines.length > MOST) {
      for (const gone of lines.slice(0, lines.length - MOST)) keys.delete(gone.key);
      lines = lines.slice(-MOST);
      moreBefore = true;
    }
    list.came(added.length);
    drawLater();
  }

  function draw(options) {
    list.set(lines, { ...options, moreBefore, cut: lines.length >= MOST });
  }

  async function loadOlder() {
    if (loadingOlder || !moreBefore || lines.length === 0 || lines.length >= MOST) return;
    loadingOlder = true;
    const mine = current;
    try {
      const { query } = compiled();
      const first = lines[0];
      // The oldest instant is asked for again (its end is excluded otherwise); what is known of it is dropped by its key.
      const found = await readLines(query, { from: view().from, to: String(BigInt(first.time) + 1n), limit: PAGE, signal: mine.signal });
      const fresh = found.lines.filter((line) => !keys.has(keyOf(line)));
      if (mine !== current || mine.signal.aborted) return;
      const before = lines;
      lines = [];
      const added = add(fresh);
      lines = added.concat(before);
      moreBefore = found.full && added.length > 0;
      draw({ added: added.length });
    } catch (error) {
      if (!aborted(error)) fill(says, failure(error, 'older lines', loadOlder));
    } finally {
      loadingOlder = false;
    }
  }

  function drawTrouble(text) {
    fill(says, text ? note('warning', h('b', {}, 'The live tail is interrupted. '), text) : null);
  }

  function nothing(now) {
    const { q } = Object.fromEntries(now.params);
    if (!q && now.scope.length === 0) {
      return empty('No lines in this time range', 'The agent reads the logs of every container, and the files that its config names:', '# agent.yaml, or below agent: in yagura.yaml\nsources:\n  logs:\n    files: [{path: /var/log/app/*.log, tags: {service: app}}]');
    }
    const longer = now.relative && now.fromText !== 'now-1d' ? h('a', { class: 'btn', href: href('logs', { q, from: 'now-1d' }) }, 'Search the last 24 hours') : null;
    return h('div', { class: 'empty' }, h('h2', {}, 'No line matches'), h('p', {}, 'Asked: ', h('code', {}, compiled().query)), h('div', { class: 'group' }, longer));
  }

  load();
  const again = settled(50, load);
  ctx.every(() => {
    const now = view();
    counts(now, compiled().query, AbortSignal.any([ctx.signal, current.signal]));
    if (!now.live) load();
  });
  return {
    change(now, before) {
      const asked = (one) => [one.params.get('q'), one.params.get('scope'), one.fromText, one.toText, one.utc].join('\n');
      if (asked(now) !== asked(before)) again();
      else {
        if (now.live !== before.live) live.set(now.live ? compiled().query : '');
        list.wrap(!!now.params.get('wrap'));
        wrap.setAttribute('aria-pressed', String(!!now.params.get('wrap')));
      }
      panel.sync();
      list.select(now.panel, false);
    },
    key(event) {
      if (event.key === 't') {
        const line = lines.find((one) => one.key === view().panel);
        const trace = line && (line.fields.trace_id || line.fields.traceid);
        if (trace) patch({ q: `trace_id:${trace}`, panel: null });
        return !!trace;
      }
      if (event.key === 'End' || event.key === 'G') { list.toEnd(); return true; }
      return panel.key(event);
    },
  };
}

/** What a line is, short enough for a link: its time and a hash of its stream and text. */
function keyOf(line) {
  let sum = 7;
  const text = line.text + JSON.stringify(line.labels);
  for (let i = 0; i < text.length; i += 1) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) >>> 0;
  return `${line.time}-${sum.toString(36)}`;
}

