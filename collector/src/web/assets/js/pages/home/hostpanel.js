// One host: its charts, as node_exporter's names have them.

import { h, fill } from '../../dom.js';
import { mark, levelOf } from '../../icons.js';
import { href, onView, view } from '../../router.js';
import { ABSENT, both, duration, number, quantity, when } from '../../format.js';
import { facts, queryChart, quote } from './panelparts.js';

export function hostPanel(node, find, place, ctx) {
  const head = h('div');
  const about = h('section');
  const charts = h('div', { class: 'charts' });
  place.title.append(head);
  place.body.append(about, charts);
  const drawHead = () => drawAbout(node, find(), head, about);
  drawHead();
  // Soon after a page load the list of hosts is still on its way.
  const timer = setInterval(drawHead, 1000);
  place.signal.addEventListener('abort', () => clearInterval(timer));
  const drawn = chartsOf(node, charts, place.signal);
  const load = () => { for (const chart of drawn) chart.load(); };
  load();
  ctx.every(() => { if (!place.signal.aborted) load(); });
  place.signal.addEventListener('abort', onView((now, before) => {
    if (before && (now.fromText !== before.fromText || now.toText !== before.toText || now.utc !== before.utc)) load();
  }));
}

function drawAbout(node, host, head, about) {
  fill(head, h('h2', {}, host && mark(host.level, 11), ' ', node), h('div', { class: 'soft cut' }, host ? [host.os, host.kernel].filter(Boolean).join(' · ') : 'host'));
  if (!host) { fill(about, h('p', { class: 'dim' }, 'No host of this name has reported within the last minutes.')); return; }
  const waits = Object.entries(host.pressure || {}).map(([name, value]) => `${name} ${number(value * 100, 2)} %`).join(', ');
  fill(about,
    host.why && host.why.length > 0 && h('div', { class: `note ${levelOf(host.level)}`, style: { marginBottom: '12px' } }, mark(host.level), h('div', { class: 'say' }, host.why.map((why) => h('div', {}, why)))),
    facts([
      ['CPU', host.cpu === undefined ? ABSENT : `${number(host.cpu * 100)} % of ${host.cores} cores`],
      ['Load', host.load !== undefined && number(host.load)],
      ['Memory', `${quantity(host.memory_used, 'bytes')} of ${quantity(host.memory_total, 'bytes')}`],
      ['Fullest disk', host.disk_used !== undefined && `${host.disk_mount} ${number(host.disk_used * 100)} %`],
      ['Waiting', waits && `${waits} of the time`],
      ['Up', host.booted && h('span', { title: both(host.booted, Date.now(), view().utc) }, duration((Date.now() - host.booted) / 1000))],
      ['Last seen', host.seen && when(host.seen, Date.now(), view().utc)],
      ['Agent', h('a', { href: href('agents', { panel: node }) }, 'health and losses')],
      ['Containers', h('a', { href: href('home', { scope: `node:${node}`, panel: null }) }, 'only those of this host')],
    ]));
}

function chartsOf(node, host, signal) {
  const on = `instance=${quote(node)}`;
  const of = (name, query, label, more = {}) => ({ name, query, label: typeof label === 'function' ? label : () => label, ...more });
  return [
    queryChart(host, { signal, title: 'CPU', kind: 'ratio', stacked: true, top: 0.1, queries: (w) => [of('mode', `sum by (mode) (rate(node_cpu_seconds_total{${on}, mode!="idle"}[${w}])) / scalar(count(count by (cpu) (node_cpu_seconds_total{${on}})))`, (labels) => labels.mode)] }),
    queryChart(host, {
      signal, title: 'Memory', kind: 'bytes', queries: () => [
        of('used', `node_memory_MemTotal_bytes{${on}} - node_memory_MemAvailable_bytes{${on}}`, 'used', { token: '--d0' }),
        of('cache', `node_memory_Cached_bytes{${on}}`, 'page cache', { token: '--d6' }),
        of('total', `node_memory_MemTotal_bytes{${on}}`, 'total', { token: '--other', dash: [4, 3] })],
    }),
    queryChart(host, { signal, title: 'Load', kind: 'count', queries: () => [of('1', `node_load1{${on}}`, '1 min'), of('15', `node_load15{${on}}`, '15 min')] }),
    queryChart(host, { signal, title: 'Waiting (pressure)', kind: 'ratio', optional: true, queries: (w) => ['cpu', 'memory', 'io'].map((name) => of(name, `rate(node_pressure_${name}_waiting_seconds_total{${on}}[${w}])`, name)) }),
    queryChart(host, { signal, title: 'Disk read and written', kind: 'bytes/s', queries: (w) => [of('read', `sum(rate(node_disk_read_bytes_total{${on}}[${w}]))`, 'read', { token: '--d4' }), of('write', `sum(rate(node_disk_written_bytes_total{${on}}[${w}]))`, 'written', { token: '--d5' })] }),
    queryChart(host, { signal, title: 'Filesystems used', kind: 'ratio', top: 1, queries: () => [of('fs', `1 - node_filesystem_avail_bytes{${on}} / node_filesystem_size_bytes{${on}}`, (labels) => labels.mountpoint)] }),
    queryChart(host, {
      signal, title: 'Network', kind: 'bytes/s', queries: (w) => [
        of('in', `sum(rate(node_network_receive_bytes_total{${on}, device!="lo"}[${w}]))`, 'in', { token: '--d2' }), of('out', `sum(rate(node_network_transmit_bytes_total{${on}, device!="lo"}[${w}]))`, 'out', { token: '--d3' })],
    }),
  ];
}
