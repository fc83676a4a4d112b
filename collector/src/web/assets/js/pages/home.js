// Home and infrastructure: is all well, which host, which container. One page, because the second question follows the first.

import { h, fill, framed } from '../dom.js';
import { icon } from '../icons.js';
import { get } from '../api.js';
import { follow, sawData } from '../live.js';
import { onWatch } from '../alertsfeed.js';
import { attention } from '../attention.js';
import { empty, failure, note, skeleton } from '../states.js';
import { panelHost } from '../panel.js';
import { patch, view } from '../router.js';
import { passes } from '../scope.js';
import { number } from '../format.js';
import { squares } from '../squares.js';
import { merge, tagsOf, groupings, groupName, wordsFit } from './home/model.js';
import { containerTable } from './home/containers.js';
import { COLOURS, colourOf, aboutSquare, scaleKey } from './home/colours.js';
import { needSection } from './home/need.js';
import { hostSection } from './home/hosts.js';
import { containerPanel } from './home/containerpanel.js';
import { hostPanel } from './home/hostpanel.js';

export const title = 'Home';

const HOW = `# agent.yaml, or below agent: in yagura.yaml
sources:
  docker: {socket: /var/run/docker.sock}
export: {endpoints: ["http://127.0.0.1:7417"]}`;

export function open(ctx) {
  const model = { containers: [], hosts: [], byId: new Map(), at: 0, ready: false, error: null, hostError: null };
  const need = needSection();
  const hosts = hostSection((node) => panel.toggle(`host:${node}`));
  const filter = h('input', { class: 'bare', type: 'search', placeholder: 'Filter containers', 'aria-label': 'Filter containers', 'data-filter': true, spellcheck: 'false', autocomplete: 'off' });
  const groupBy = h('select', { class: 'field', 'aria-label': 'Group by' });
  const colourBy = h('select', { class: 'field', 'aria-label': 'Colour by' }, COLOURS.map(({ key, label }) => h('option', { value: key }, label)));
  const stopped = h('button', { class: 'btn', 'aria-pressed': 'false', onclick: () => patch({ stopped: view().params.get('stopped') ? null : '1' }, { replace: true }) });
  const count = h('span', { class: 'dim num', role: 'status' });
  const legend = h('div', { class: 'scalekey wide-only' });
  const problem = h('div', { class: 'pad', hidden: true });
  const loading = h('div', { class: 'pad' }, skeleton(8));
  const tools = h('div', { class: 'tools' },
    h('label', { class: 'field searchfield' }, icon('search'), filter),
    h('label', { class: 'pick' }, h('span', { class: 'wide-only' }, 'Group by'), groupBy),
    h('label', { class: 'pick wide-only' }, 'Colour', colourBy), stopped, count, legend);
  const mapHost = h('div', { class: 'map' }, h('div', { class: 'mapscroll' }));
  const tableHost = h('div');
  const nothing = h('div');
  const section = h('section', { class: 'card containers', 'aria-label': 'Containers' }, h('div', { class: 'sectionhead' }, h('h2', {}, 'Containers'), tools), mapHost, tableHost, nothing);
  const content = h('div', { class: 'pad home', hidden: true }, need.element, hosts.element, section);
  fill(ctx.root, loading, problem, content);

  const map = squares(mapHost.firstChild, { about: (id) => aboutSquare(model.byId.get(id)), open: (id) => panel.toggle(`container:${id}`) });
  const rows = containerTable(tableHost, {
    scroller: ctx.root, open: (id) => panel.toggle(`container:${id}`), signal: ctx.signal,
    group: (row) => groupName(row, view().params.get('by') || ''),
  });
  const panel = panelHost(ctx, {
    order: () => rows.order().map((id) => `container:${id}`),
    draw(id, place) {
      const [kind, key] = [id.slice(0, id.indexOf(':')), id.slice(id.indexOf(':') + 1)];
      if (kind === 'host') hostPanel(key, () => model.hosts.find((one) => one.node === key), place, ctx);
      else containerPanel(key, () => find(key), place, ctx);
      rows.select(kind === 'container' ? find(key)?.id || key : '', { scroll: true });
    },
  });

  /** By the whole id, or by its beginning or its name as people type them into links. */
  function find(key) {
    return model.byId.get(key) || model.containers.find((one) => one.name === key || (key.length >= 12 && one.id.startsWith(key)));
  }

  function gotContainers(answer, error) {
    if (!answer) { model.error = error; return draw(); }
    merge(model, answer);
    model.error = null;
    model.ready = true;
    sawData(answer.newest || 0);
    draw();
    return undefined;
  }

  function gotHosts(answer, error) {
    if (answer) model.hosts = answer.hosts;
    model.hostError = answer ? null : error;
    if (answer) sawData(Math.max(0, ...answer.hosts.map((one) => one.seen || 0)));
    draw();
  }

  const draw = framed(() => {
    if (ctx.signal.aborted) return;
    if (model.ready || model.error) loading.remove();
    problem.hidden = !model.error;
    if (model.error) fill(problem, typeof model.error === 'string' ? note('critical', h('b', {}, 'Containers cannot be read'), h('pre', {}, model.error)) : failure(model.error, 'the containers', read));
    if (!model.ready) return;
    content.hidden = false;
    const scoped = model.containers.filter((one) => passes(view().scope, tagsOf(one)));
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const withStopped = !!view().params.get('stopped');
    const fitting = scoped.filter((one) => wordsFit(one, words));
    const shown = fitting.filter((one) => withStopped || one.state !== 'exited' || one.level !== 'ok' || words.length > 0);
    const hidden = fitting.length - shown.length;
    need.draw({ containers: scoped, hosts: model.hosts, at: model.at });
    const ill = scoped.filter((one) => one.level === 'critical' || one.level === 'warning');
    attention.set('home', ill.length, ill.some((one) => one.level === 'critical') ? 'critical' : 'warning', 'in need');
    hosts.draw(model.hosts, model.hostError, view().panel);
    fill(count, shown.length === scoped.length ? '' : `${number(shown.length, 9)} of ${number(scoped.length, 9)}`);
    stopped.hidden = hidden === 0 && !withStopped;
    stopped.setAttribute('aria-pressed', String(withStopped));
    fill(stopped, withStopped ? 'Stopped shown' : `${hidden} stopped`);
    drawGroups();
    drawMap(shown);
    rows.set(shown);
    fill(nothing, shown.length > 0 ? null : nothingShown(scoped.length, words));
    mapHost.hidden = shown.length < 2;
    tableHost.hidden = shown.length === 0;
    if (view().panel.startsWith('container:')) rows.select(find(view().panel.slice(10))?.id || '');
  });

  function nothingShown(scoped, words) {
    if (model.containers.length === 0) return empty('No container has been seen yet', 'The agent finds containers by their cgroups and through the Docker socket. Give it a socket it may read, and point it here:', HOW);
    if (scoped === 0) return empty('No container is in this scope', `${number(model.containers.length)} containers have other tags.`);
    return h('div', { class: 'empty' }, h('h2', {}, words.length ? `No container matches “${words.join(' ')}”` : 'No container runs'),
      words.length > 0 && h('button', { class: 'btn', onclick: () => { filter.value = ''; patch({ f: null }, { replace: true }); draw(); } }, 'Clear the filter'));
  }

  function drawGroups() {
    const chosen = view().params.get('by') || '';
    const options = groupings(model);
    const text = options.map(({ key }) => key).join();
    if (groupBy.dataset.keys !== text) {
      groupBy.dataset.keys = text;
      fill(groupBy, h('option', { value: '' }, 'no group'), options.map(({ key, label }) => h('option', { value: key }, label)));
    }
    groupBy.value = chosen;
    colourBy.value = view().params.get('colour') || COLOURS[0].key;
    fill(legend, scaleKey(colourBy.value));
  }

  function drawMap(shown) {
    const by = view().params.get('by') || '';
    const groups = new Map();
    const colour = colourOf(colourBy.value, shown);
    for (const one of shown) {
      const name = by ? groupName(one, by) : null;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push({ key: one.id, ...colour(one), ring: one.level === 'critical' || one.level === 'warning' ? one.level : '' });
    }
    const list = [...groups].sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : String(a).localeCompare(String(b)))).map(([name, items]) => ({ name, items }));
    map.set(list, `Map of ${shown.length} containers, coloured by ${colourBy.selectedOptions[0]?.textContent || ''}; the same is in the table below.`);
    map.select(view().panel.replace('container:', ''));
  }

  filter.value = view().params.get('f') || '';
  filter.addEventListener('input', () => { patch({ f: filter.value }, { replace: true }); });
  groupBy.addEventListener('change', () => patch({ by: groupBy.value }, { replace: true }));
  colourBy.addEventListener('change', () => patch({ colour: colourBy.value === COLOURS[0].key ? null : colourBy.value }, { replace: true }));

  async function read() {
    await Promise.all([
      get('/api/containers', {}, { signal: ctx.signal }).then((answer) => gotContainers(answer), (error) => { if (error.name !== 'AbortError') gotContainers(null, error); }),
      get('/api/hosts', {}, { signal: ctx.signal }).then((answer) => gotHosts(answer), (error) => { if (error.name !== 'AbortError') gotHosts(null, error); }),
    ]);
  }
  read();
  let ending = null;
  function listen() {
    if (ending) ending.abort();
    ending = null;
    if (!view().live) return;
    ending = new AbortController();
    const signal = AbortSignal.any([ctx.signal, ending.signal]);
    follow('containers', gotContainers, signal);
    follow('hosts', gotHosts, signal);
  }
  listen();
  onWatch(draw, ctx.signal);
  panel.sync();
  return {
    change(now, before) {
      if (now.live !== before.live) listen();
      if (filter !== document.activeElement) filter.value = now.params.get('f') || '';
      panel.sync();
      rows.select(now.panel.startsWith('container:') ? find(now.panel.slice(10))?.id || '' : '', {});
      draw();
    },
    key: (event) => panel.key(event),
  };
}
