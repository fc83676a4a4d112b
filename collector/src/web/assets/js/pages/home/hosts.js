// The hosts: one line each, dense enough that a fleet fits.

import { h, fill } from '../../dom.js';
import { mark } from '../../icons.js';
import { note } from '../../states.js';
import { ABSENT, duration, exact, isNumber, number, quantity } from '../../format.js';
import { drawSpark } from '../../spark.js';
import { shareToken } from '../../color.js';

const SHOWN = 8;

export function hostSection(open) {
  const rows = h('div', { class: 'hostrows' });
  const more = h('button', { class: 'btn plain', hidden: true });
  let all = false;
  let last = [];
  more.addEventListener('click', () => { all = !all; draw(last, null, ''); });
  const element = h('section', { class: 'card hosts', 'aria-label': 'Hosts' }, rows, more);

  function draw(hosts, error, panel) {
    last = hosts;
    element.hidden = hosts.length === 0 && !error;
    const order = [...hosts].sort((a, b) => (a.level === 'ok') - (b.level === 'ok') || a.node.localeCompare(b.node, undefined, { numeric: true }));
    fill(rows, error && note('warning', h('b', {}, 'Hosts cannot be read'), ' ', String(error.message || error)),
      (all ? order : order.slice(0, SHOWN)).map((host) => line(host, () => open(host.node), panel === `host:${host.node}`)));
    for (const canvas of rows.querySelectorAll('canvas')) drawSpark(canvas, canvas.history, { max: 1 });
    more.hidden = hosts.length <= SHOWN;
    fill(more, all ? 'Show fewer' : `and ${hosts.length - SHOWN} more hosts`);
  }
  return { element, draw };
}

function line(host, open, selected) {
  const spark = h('canvas', { class: 'spark', 'aria-hidden': 'true' });
  spark.history = host.history || [];
  const cpuSide = isNumber(host.cpu) ? `${number(host.cpu * 100, 2)} %` : ABSENT;
  return h('button', { class: `hostrow ${selected ? 'selected' : ''}`, onclick: open, title: host.why && host.why.length ? host.why.join('\n') : null },
    h('span', { class: 'who' }, mark(host.level), h('b', { class: 'cut' }, host.node), h('span', { class: 'dim cut wide-only' }, [host.os, isNumber(host.booted) && `up ${duration((Date.now() - host.booted) / 1000)}`].filter(Boolean).join(' · '))),
    figure('CPU', [cpuSide, isNumber(host.cores) && h('span', { class: 'dim' }, ` of ${host.cores} cores`)], spark),
    figure('Memory', amount(host.memory_used, host.memory_total), meter(host.memory_used, host.memory_total)),
    figure(h('span', { class: 'cut' }, 'Disk ', h('span', { class: 'mono' }, host.disk_mount || '')), isNumber(host.disk_used) ? `${number(host.disk_used * 100, 2)} %` : ABSENT, meter(host.disk_used, 1)),
    figure('Network', [h('span', {}, '↓ ', quantity(host.net_rx, 'bytes/s')), ' ', h('span', {}, '↑ ', quantity(host.net_tx, 'bytes/s'))], null, 'net'),
    figure('Load', number(host.load), null, 'few'),
    figure('Pressure', pressure(host), null, 'few wide-only'));
}

function figure(label, value, extra, more = '') {
  return h('span', { class: `figure ${more}` }, h('span', { class: 'dim' }, label), h('span', { class: 'num value' }, value), extra);
}

function amount(used, total) {
  if (!isNumber(used)) return ABSENT;
  return [h('span', { title: exact(used, 'bytes') }, quantity(used, 'bytes')), isNumber(total) && h('span', { class: 'dim' }, ` of ${quantity(total, 'bytes')}`)];
}

function meter(used, total) {
  const part = isNumber(used) && total > 0 ? used / total : null;
  if (part === null) return null;
  const level = { '--critical': 'critical', '--warning': 'warning' }[shareToken(part)] || '';
  return h('span', { class: 'bar' }, h('i', { class: level, style: { width: `${Math.min(100, part * 100)}%` } }));
}

/** The share of time in which somebody waited, for the resource where it is greatest. */
function pressure({ pressure: shares }) {
  const known = Object.entries(shares || {}).filter(([, value]) => isNumber(value)).sort((a, b) => b[1] - a[1]);
  if (known.length === 0) return ABSENT;
  const [name, value] = known[0];
  return `${name} ${number(value * 100, 2)} %`;
}
