// Where to begin when there is no query: questions people have, and every metric there is with its help.

import { h, fill } from '../../dom.js';
import { icon } from '../../icons.js';
import { virtual } from '../../virtual.js';
import { empty, failure, skeleton } from '../../states.js';
import { metrics } from '../../promql/complete.js';
import { aborted } from '../../api.js';
import { number } from '../../format.js';

const QUESTIONS = [
  ['Which containers use the CPU?', 'topk(10, sum by (name) (rate(container_cpu_usage_seconds_total{name!=""}[1m])))'],
  ['Which hold the memory?', 'topk(10, sum by (name) (container_memory_working_set_bytes{name!=""}))'],
  ['Which are throttled?', 'sum by (name) (rate(container_cpu_cfs_throttled_periods_total[5m])) / sum by (name) (rate(container_cpu_cfs_periods_total[5m])) > 0'],
  ['How busy are the hosts?', '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))'],
  ['When is a disk full?', 'predict_linear(node_filesystem_avail_bytes[1h], 4 * 3600) < 0'],
  ['Who waits for the disk?', 'rate(node_pressure_io_waiting_seconds_total[1m])'],
];

export async function start(host, { choose, signal }) {
  if (host.dataset.drawn) return;
  host.dataset.drawn = '1';
  const filter = h('input', { class: 'bare', type: 'search', placeholder: 'Filter metrics', 'aria-label': 'Filter metrics', 'data-filter': true, spellcheck: 'false' });
  const count = h('span', { class: 'dim num' });
  const scroller = h('div', { class: 'metriclist scroll' });
  const space = h('div', { class: 'rows' });
  scroller.append(space);
  fill(host, h('div', { class: 'startgrid' },
    h('section', { class: 'card' }, h('div', { class: 'sectionhead' }, h('h2', {}, 'Start from a question')),
      h('div', { class: 'questions' }, QUESTIONS.map(([title, query]) => h('button', { onclick: () => choose(query) }, h('b', {}, title), h('code', {}, query))))),
    h('section', { class: 'card' }, h('div', { class: 'sectionhead' }, h('h2', {}, 'Or from a metric'), h('label', { class: 'field searchfield' }, icon('search'), filter), count), scroller)));
  const list = virtual({
    space, scroller, keyOf: (one) => one.name,
    make: () => h('button', { class: 'metric', onclick: (event) => choose(event.currentTarget.dataset.name) }),
    draw: (one, element) => {
      element.dataset.name = one.name;
      fill(element, h('span', { class: 'mono cut' }, one.name), h('span', { class: 'dim kind' }, one.type), h('span', { class: 'soft cut', title: one.help }, one.help));
    },
  });
  signal.addEventListener('abort', () => { delete host.dataset.drawn; list.destroy(); });
  fill(count, skeleton(1));
  try {
    const all = await metrics();
    if (signal.aborted) return;
    const draw = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = all.filter(({ name, help }) => words.every((word) => name.toLowerCase().includes(word) || help.toLowerCase().includes(word)));
      fill(count, found.length === all.length ? number(all.length, 9) : `${number(found.length, 9)} of ${number(all.length, 9)}`);
      list.set(found, matchMedia('(pointer: coarse)').matches ? 44 : 28);
    };
    filter.addEventListener('input', draw);
    draw();
    if (all.length === 0) fill(scroller, empty('No metric has arrived yet', 'An agent that runs sends its first samples within a second. Start one on this machine:', 'yagura-agent --config agent.yaml'));
  } catch (error) {
    if (!aborted(error) && !signal.aborted) fill(scroller, failure(error, 'the names of metrics', () => { delete host.dataset.drawn; start(host, { choose, signal }); }));
  }
}
