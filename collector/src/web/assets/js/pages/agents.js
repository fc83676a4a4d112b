// Agents: are they well, what can each not see and why, and what became of every byte of logs.

import { h, fill, framed } from '../dom.js';
import { icon, mark } from '../icons.js';
import { get } from '../api.js';
import { empty, loader } from '../states.js';
import { panelHost } from '../panel.js';
import { table } from '../table.js';
import { patch, view } from '../router.js';
import { ABSENT, both, column, exact, number, plural, when } from '../format.js';
import { agentPanel, lost } from './agents/panel.js';

export const title = 'Agents';
export const LEVEL = { ok: 'ok', degraded: 'warning', silent: 'none' };
const RANK = { silent: 3, degraded: 2, ok: 1 };
const HOW = 'yagura-agent --config agent.yaml\n\n# agent.yaml, or below agent: in yagura.yaml\nexport: {endpoints: ["http://collector:7417"]}';

export function open(ctx) {
  const filter = h('input', { class: 'bare', type: 'search', placeholder: 'Filter agents', 'aria-label': 'Filter agents', 'data-filter': true, spellcheck: 'false' });
  const headline = h('h1');
  const tools = h('div', { class: 'tools' }, h('label', { class: 'field searchfield' }, icon('search'), filter));
  const body = h('div');
  fill(ctx.root, h('div', { class: 'pad explore' }, headline, tools, body));
  const tableHost = h('div', { class: 'card' });
  const nothing = h('div');
  let agents = [];
  let units = {};
  const logs = (key) => (row) => (row.status.logs || {})[key];
  const bytes = (key, label, value, priority) => ({
    key, label, min: 84, right: true, priority, unit: () => (units[key] ? units[key].unit : ''), value,
    cell: (row) => h('span', { title: exact(value(row), 'bytes'), class: key === 'given_up' && value(row) > 0 ? 'state warning' : '' }, key === 'given_up' && value(row) > 0 && mark('warning'), h('span', { class: 'word' }, units[key] ? units[key].write(value(row)) : ABSENT)),
  });

  const list = table(tableHost, {
    scroller: ctx.root, label: 'Agents', keyOf: (row) => row.node, open: (node) => panel.toggle(node), onSort: (sort) => patch({ sort }, { replace: true }),
    rowHeight: () => (matchMedia('(pointer: coarse)').matches ? 44 : 32),
    columns: [
      { key: 'state', label: 'State', min: 88, priority: 1, value: (row) => RANK[row.state], cell: (row) => h('span', { class: `state ${LEVEL[row.state]}` }, mark(LEVEL[row.state]), h('span', { class: 'word' }, row.state)) },
      { key: 'node', label: 'Node', first: 'up', min: 96, grow: 1.4, priority: 0, value: (row) => row.node, cell: (row) => h('b', {}, row.node) },
      { key: 'sources', label: 'Sources', min: 180, grow: 2.4, priority: 3, value: (row) => troubles(row).length, cell: sourcesCell },
      { key: 'seen', label: 'Reported', min: 80, right: true, priority: 2, value: (row) => row.seen, cell: (row) => h('span', { title: both(row.seen, Date.now(), view().utc) }, when(row.seen, Date.now(), view().utc)) },
      { key: 'containers', label: 'Containers', min: 76, right: true, priority: 5, value: (row) => row.status.containers, cell: (row) => number(row.status.containers) },
      bytes('read', 'Logs read', logs('read'), 6), bytes('delivered', 'Delivered', logs('delivered'), 6), bytes('lag', 'Lag', logs('lag_bytes'), 5), bytes('given_up', 'Given up', (row) => lost(row), 4),
      bytes('disk', 'On disk', (row) => (row.status.buffer || {}).disk_bytes, 7),
      { key: 'version', label: 'Version', first: 'up', min: 60, priority: 8, value: (row) => row.status.version, cell: (row) => row.status.version || ABSENT },
    ],
  });
  ctx.signal.addEventListener('abort', list.destroy);
  const panel = panelHost(ctx, {
    order: () => list.order(),
    draw(node, place) {
      agentPanel(node, () => agents.find((one) => one.node === node), place, ctx);
      list.select(node, { scroll: true });
    },
  });

  const load = loader(body, {
    what: 'the agents', signal: ctx.signal, lines: 4,
    ask: (signal) => get('/api/agents', {}, { signal }),
    show(answer, host) {
      agents = answer.agents;
      if (tableHost.parentNode !== host) fill(host, tableHost, nothing);
      draw();
      panel.sync();
    },
  });

  const draw = framed(() => {
    if (ctx.signal.aborted) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = agents.filter((one) => words.every((word) => `${one.node} ${one.state} ${troubles(one).map((source) => `${source.name} ${source.reason}`).join(' ')}`.toLowerCase().includes(word)));
    const unit = (value) => column(agents.map(value), 'bytes');
    units = { read: unit(logs('read')), delivered: unit(logs('delivered')), lag: unit(logs('lag_bytes')), given_up: unit(lost), disk: unit((row) => (row.status.buffer || {}).disk_bytes) };
    fill(headline, sentence(agents));
    tools.hidden = agents.length < 2;
    list.sort(view().params.get('sort') || 'state:down');
    list.set(shown);
    tableHost.hidden = shown.length === 0;
    fill(nothing, shown.length ? null : agents.length === 0
      ? empty('No agent has reported within the last day', 'Start one on each node and point it here:', HOW)
      : empty('No agent matches', `${plural(agents.length, 'agent')} ${agents.length === 1 ? 'has' : 'have'} another name.`));
    list.select(view().panel);
  });

  filter.addEventListener('input', draw);
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

export function troubles({ status }) {
  return (status.sources || []).filter((source) => source.state !== 'ok');
}

function sourcesCell(row) {
  const ill = troubles(row);
  if (ill.length === 0) return h('span', { class: 'soft' }, `${plural((row.status.sources || []).length, 'source')}, all work`);
  return h('span', { class: 'state warning', title: ill.map((source) => `${source.name}: ${source.reason}`).join('\n') }, mark('warning'), h('span', { class: 'word cut' }, ill.map((source) => `${source.name} ${source.state}: ${source.reason}`).join('; ')));
}

function sentence(agents) {
  if (agents.length === 0) return 'Agents';
  const silent = agents.filter((one) => one.state === 'silent');
  const degraded = agents.filter((one) => one.state === 'degraded');
  const losing = agents.filter((one) => lost(one) > 0);
  const parts = [];
  if (silent.length) parts.push(silent.length === 1 ? `${silent[0].node} is silent` : `${silent.length} of ${agents.length} agents are silent`);
  if (degraded.length) parts.push(degraded.length === 1 ? `${degraded[0].node} cannot see everything` : `${degraded.length} cannot see everything`);
  if (parts.length === 0) parts.push(agents.length === 1 ? 'The one agent is well' : `All ${number(agents.length, 9)} agents are well`);
  if (losing.length) parts.push(`${losing.length === 1 ? losing[0].node : `${losing.length} of them`} gave up some log bytes`);
  return parts.join('; ');
}

