// One agent: each source with its reason and what to do, its buffer and sender, and where every byte of logs is.

import { h, fill } from '../../dom.js';
import { mark } from '../../icons.js';
import { empty, stateWord } from '../../states.js';
import { href, onView, view } from '../../router.js';
import { both, duration, exact, isNumber, quantity, when } from '../../format.js';
import { facts, queryChart, quote } from '../home/panelparts.js';
import { LEVEL } from '../agents.js';

/** Bytes given up, for whatever reason. */
export function lost({ status }) {
  const reasons = status.logs && status.logs.given_up;
  return reasons ? Object.values(reasons).reduce((sum, bytes) => sum + bytes, 0) : NaN;
}

export function agentPanel(node, find, place, ctx) {
  const head = h('div');
  const about = h('div', { class: 'agentabout' });
  const charts = h('div', { class: 'charts' });
  fill(place.title, head);
  fill(place.body, about, charts);
  const drawn = [
    queryChart(charts, { signal: place.signal, title: 'Log bytes not delivered yet', kind: 'bytes', height: 110, queries: () => [{ name: 'lag', query: `sum(yagura_agent_log_lag_bytes{instance=${quote(node)}})`, label: () => 'lag', token: '--d1' }] }),
    queryChart(charts, { signal: place.signal, title: 'Log bytes read', kind: 'bytes/s', height: 110, queries: (w) => [{ name: 'read', query: `sum(rate(yagura_agent_log_read_bytes_total{instance=${quote(node)}}[${w}]))`, label: () => 'read', token: '--d0' }] }),
    queryChart(charts, { signal: place.signal, title: 'Given up, by reason', kind: 'bytes', height: 110, optional: true, queries: (w) => [{ name: 'lost', query: `sum by (reason) (increase(yagura_agent_log_given_up_bytes_total{instance=${quote(node)}}[${w}])) > 0`, label: (labels) => labels.reason }] }),
  ];
  const draw = () => drawAbout(node, find(), head, about);
  draw();
  for (const chart of drawn) chart.load();
  const timer = setInterval(draw, 2000);
  place.signal.addEventListener('abort', () => clearInterval(timer));
  ctx.every(() => { if (!place.signal.aborted) for (const chart of drawn) chart.load(); });
  place.signal.addEventListener('abort', onView((now, before) => { if (before && (now.fromText !== before.fromText || now.toText !== before.toText)) for (const chart of drawn) chart.load(); }));
}

function drawAbout(node, agent, head, about) {
  if (!agent) {
    fill(head, h('h2', {}, node));
    fill(about, empty('No agent of this name has reported', 'Within the last day nothing came from it.'));
    return;
  }
  const { status } = agent;
  const utc = view().utc;
  const sending = status.export || {};
  const buffer = status.buffer || {};
  fill(head, h('h2', {}, mark(LEVEL[agent.state], 11), ' ', node), h('div', { class: 'soft' }, `yagura-agent ${status.version || ''}`));
  const started = typeof status.started === 'number' ? status.started : Date.parse(status.started);
  fill(about,
    agent.state === 'silent' && h('div', { class: 'note warning' }, mark('silent'), h('div', { class: 'say' }, h('b', {}, `Nothing was heard for ${duration((Date.now() - agent.seen) / 1000)}. `), 'The node is off, the agent has stopped, or it cannot reach the collector. What follows is what it said last.')),
    facts([
      ['Reported', h('span', { title: both(agent.seen, Date.now(), utc) }, when(agent.seen, Date.now(), utc))],
      ['Started', isNumber(started) && h('span', { title: both(started, Date.now(), utc) }, when(started, Date.now(), utc))],
      ['Containers', isNumber(status.containers) && h('a', { href: href('home', { scope: `node:${node}` }) }, String(status.containers))],
      ['Sends to', sending.endpoint && [h('code', {}, sending.endpoint), ' ', stateWord(sending.state, sending.state === 'ok' ? 'ok' : 'warning'), sending.reason && h('div', { class: 'soft' }, sending.reason)]],
      ['Buffer', isNumber(buffer.memory_bytes) && `${quantity(buffer.memory_bytes, 'bytes')} in memory, ${quantity(buffer.disk_bytes, 'bytes')} of ${quantity(buffer.disk_limit, 'bytes')} on disk${buffer.dropped_batches ? `; ${buffer.dropped_batches} batches dropped` : ''}`],
    ]),
    h('section', {}, h('h3', {}, 'Sources'), h('ul', { class: 'sources' }, (status.sources || []).map(sourceRow))),
    status.logs && h('section', {}, h('h3', {}, 'What became of every log byte'), accounting(status.logs)));
}

function sourceRow(source) {
  return h('li', {}, h('div', { class: 'sourceline' }, mark(source.state), h('b', {}, source.name), source.state !== 'ok' && h('span', { class: 'soft' }, source.state), h('span', { class: 'dim cut num' }, detail(source.detail))),
    source.reason && h('div', { class: 'why' }, source.reason), source.hint && h('div', { class: 'why soft' }, h('b', {}, 'Do: '), source.hint));
}

const BYTES = ['seen', 'read', 'delivered', 'spooled'];

/** Small details in one line; lists and objects stand in `/status` of the agent itself. */
function detail(values) {
  return Object.entries(values || {}).filter(([, value]) => value !== null && typeof value !== 'object').slice(0, 6).map(([name, value]) => `${name.replace(/_/g, ' ')} ${typeof value === 'number' && (/bytes$/.test(name) || BYTES.includes(name)) ? quantity(value, 'bytes') : value}`).join(' · ');
}

function accounting({ seen, read, delivered, spooled, lag_bytes: lag, given_up: reasons }) {
  const row = (name, value, about, level) => isNumber(value) && h('tr', {}, h('td', {}, level ? h('span', { class: `state ${level}` }, mark(level), h('span', { class: 'word' }, name)) : name), h('td', { class: 'right', title: exact(value, 'bytes') }, quantity(value, 'bytes')), h('td', { class: 'dim' }, about));
  return h('table', { class: 'plain' }, h('tbody', {},
    row('seen', seen, 'found in log files'), row('read', read, 'read from them'), row('delivered', delivered, 'answered for by the collector'),
    spooled > 0 && row('spooled', spooled, 'kept on disk before rotation deleted them'), row('lag', lag, 'not delivered yet'),
    Object.entries(reasons || {}).filter(([, bytes]) => bytes > 0).map(([reason, bytes]) => row('given up', bytes, reason.replace(/_/g, ' '), 'warning')),
    lost({ status: { logs: { given_up: reasons } } }) === 0 && h('tr', {}, h('td', {}, 'given up'), h('td', { class: 'right' }, '0'), h('td', { class: 'dim' }, 'nothing was lost'))));
}

