// One check: where the time goes, its certificate, its runs; a failed run opens with what was wrong.

import { h, fill } from '../../dom.js';
import { mark } from '../../icons.js';
import { get } from '../../api.js';
import { copyButton, empty, loader } from '../../states.js';
import { href, onView, view } from '../../router.js';
import { both, duration, number, plural, quantity, stamp, when, zone } from '../../format.js';
import { facts, queryChart, quote, tagChips } from '../home/panelparts.js';
import { LEVEL } from '../checks.js';
import { drawTicks, tickTip } from './ticks.js';

export const PHASES = [['resolve', '--d4'], ['connect', '--d6'], ['tls', '--d5'], ['processing', '--d0'], ['transfer', '--d2']];
const RUNS = 200;

export function checkPanel(name, find, place, ctx) {
  const check = find();
  if (!check) {
    fill(place.title, h('h2', {}, name));
    fill(place.body, empty('There is no check of this name', 'It may have been taken out of the checks files.'));
    const wait = setInterval(() => { if (find()) { clearInterval(wait); fill(place.body); checkPanel(name, find, place, ctx); } }, 300);
    place.signal.addEventListener('abort', () => clearInterval(wait));
    return;
  }
  const last = check.last;
  fill(place.title, h('h2', {}, mark(LEVEL[check.verdict] || 'unknown', 11), ' ', check.name), h('a', { class: 'cut', href: check.url, target: '_blank', rel: 'noreferrer' }, check.url));
  const ticks = h('canvas', { class: 'ticks', 'aria-label': 'The last runs' });
  ticks.addEventListener('pointermove', tickTip);
  ticks.addEventListener('pointerleave', () => tickTip(null));
  const charts = h('div', { class: 'charts' });
  const runs = h('section');
  fill(place.body,
    last && last.success === false && h('div', { class: 'note critical' }, mark('critical'), h('div', { class: 'say' }, h('b', {}, (last.failure && last.failure.class || 'failed').replace(/_/g, ' ')), h('div', {}, last.reason))),
    last && (last.success === null || last.success === undefined) && h('div', { class: 'note' }, mark('unknown'), h('div', { class: 'say' }, h('b', {}, 'The checker itself failed'), ', so nothing is known of the target. ', last.reason)),
    facts([
      ['Verdict', [check.verdict, check.since ? ` since ${when(check.since, Date.now(), view().utc)}` : '']],
      ['Asked', `every ${duration(check.interval_seconds)}, answer within ${duration(check.timeout_seconds)}`],
      ['Latency limit', check.latency_limit_seconds && quantity(check.latency_limit_seconds, 'seconds')],
      ['Last answer', last && [last.status, `took ${quantity(last.duration_seconds, 'seconds')}`, last.address].filter(Boolean).join(' · ')],
      ['Certificate', certificate(last)],
      ['Tags', check.tags && Object.keys(check.tags).length > 0 && tagChips(check.tags)],
    ]), h('section', {}, h('h3', {}, 'Last 90 runs'), ticks), charts, runs);
  drawTicks(ticks, check.ticks || []);
  const chart = queryChart(charts, {
    signal: place.signal, title: 'Latency by phase', kind: 'seconds', stacked: true, height: 150,
    queries: () => PHASES.map(([phase, token]) => ({ name: phase, query: `avg(probe_http_duration_seconds{check=${quote(name)}, phase="${phase}"})`, label: () => phase, token })),
    thresholds: check.latency_limit_seconds ? [{ value: check.latency_limit_seconds, label: `limit ${quantity(check.latency_limit_seconds, 'seconds')}`, level: 'critical' }] : [],
  });
  const load = runList(name, runs, place.signal);
  const both_ = () => { chart.load(); load(); };
  both_();
  ctx.every(() => { if (!place.signal.aborted) both_(); });
  place.signal.addEventListener('abort', onView((now, before) => { if (before && (now.fromText !== before.fromText || now.toText !== before.toText)) chart.load(); }));
}

function certificate(last) {
  if (!last || !last.tls) return null;
  const { tls, certificate_days: left } = last;
  return [
    typeof left === 'number' ? (left < 0 ? 'has ended' : `ends in ${plural(left, 'day')}`) : 'end unknown', tls.earliest_expiry && ` (${stamp(tls.earliest_expiry, true).slice(0, 10)})`,
    h('div', { class: 'dim' }, [tls.subject, tls.issuer && `from ${tls.issuer}`, tls.version].filter(Boolean).join(' · ')),
    tls.untrusted && h('div', { class: 'state critical' }, mark('critical'), h('span', { class: 'word' }, tls.untrusted)),
  ];
}

function runList(name, host, signal) {
  const body = h('div');
  let failedOnly = false;
  let known = [];
  const toggle = h('button', { class: 'btn', 'aria-pressed': 'false', onclick: () => { failedOnly = !failedOnly; toggle.setAttribute('aria-pressed', String(failedOnly)); show(); } }, 'Failed only');
  fill(host, h('h3', {}, 'Runs', h('span', { class: 'more' }, toggle)), body);
  const opened = new Set();
  let into = null;

  function show() {
    if (!into) return;
    const runs = [...known].reverse().filter((run) => !failedOnly || run.success !== true);
    fill(into, runs.length === 0 ? h('p', { class: 'dim' }, failedOnly ? `None of the last ${known.length} runs failed.` : 'It has not run yet.')
      : h('div', { class: 'runs' }, runs.slice(0, 60).map(runRow)), runs.length > 60 && h('p', { class: 'dim' }, `and ${runs.length - 60} more`));
  }

  function runRow(run) {
    const level = run.success === true ? 'ok' : run.success === false ? 'critical' : 'unknown';
    const details = h('details', { class: 'run', open: opened.has(run.started), ontoggle: () => { if (details.open) opened.add(run.started); else opened.delete(run.started); if (details.open && details.children.length === 1) details.append(runDetails(run)); } },
      h('summary', {}, mark(level), h('span', { class: 'num dim', title: both(run.started, Date.now(), view().utc) }, when(run.started, Date.now(), view().utc)),
        h('span', { class: 'cut' }, run.success === true ? `${run.status || ''}` : run.reason || 'failed'), h('span', { class: 'num' }, quantity(run.duration_seconds, 'seconds'))));
    if (details.open) details.append(runDetails(run));
    return details;
  }

  return loader(body, {
    what: 'the runs', signal, lines: 3,
    ask: (ended) => get(`/api/checks/${encodeURIComponent(name)}/runs`, { limit: RUNS }, { signal: ended }),
    show(answer, place) { known = answer.runs; into = place; show(); },
  });
}

function runDetails(run) {
  const total = PHASES.reduce((sum, [phase]) => sum + ((run.phases || {})[phase] || 0), 0);
  return h('div', { class: 'rundetails' },
    run.failure && h('div', { class: 'soft' }, h('b', {}, run.failure.class.replace(/_/g, ' ')), ': ', run.failure.reason),
    total > 0 && h('div', { class: 'phasebar' }, PHASES.map(([phase, token]) => h('i', { title: `${phase} ${quantity(run.phases[phase], 'seconds')}`, style: { width: `${(100 * run.phases[phase]) / total}%`, background: `var(${token})` } }))),
    total > 0 && h('div', { class: 'phasenames' }, PHASES.map(([phase, token]) => h('span', {}, h('span', { class: 'swatch', style: { borderTopColor: `var(${token})` } }), `${phase} ${quantity(run.phases[phase], 'seconds')}`))),
    facts([
      ['When', `${stamp(run.started, view().utc)} ${zone(run.started, view().utc)}`],
      ['Answer', run.status && [`status ${run.status}`, run.http_version && `HTTP/${run.http_version}`, run.redirects ? plural(run.redirects, 'redirect') : ''].filter(Boolean).join(' · ')],
      ['Body', run.body_bytes !== undefined && run.status && `${quantity(run.body_bytes, 'bytes')} read`],
      ['Address', run.address],
      ['Attempts', run.attempts > 1 && number(run.attempts)],
      ['Certificate', certificate(run)],
      ['Trace', run.trace_id && h('span', {}, h('a', { href: href('logs', { q: `trace_id:${run.trace_id}` }) }, 'lines of this trace'), ' ', h('code', { class: 'dim' }, run.trace_id.slice(0, 16), '…'), copyButton(run.trace_id))],
    ]));
}
