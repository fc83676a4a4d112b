// How the map is coloured: a metric against its limit, in five steps, or the state.

import { h } from '../../dom.js';
import { token } from '../../color.js';
import { quantity } from '../../format.js';
import { levelOf } from '../../icons.js';

const share = (value, limit) => (limit > 0 && value !== undefined && value !== null ? value / limit : null);

export const COLOURS = [
  { key: 'memory', label: 'memory against limit', share: (one) => share(one.memory, one.memory_limit), size: (one) => one.memory, kind: 'bytes' },
  { key: 'cpu', label: 'CPU against limit', share: (one) => share(one.cpu, one.cpu_limit), size: (one) => one.cpu, kind: 'cores' },
  { key: 'throttled', label: 'throttled', share: (one) => one.throttled ?? null, size: () => null, kind: 'ratio' },
  { key: 'network', label: 'network', share: () => null, size: (one) => (one.net_rx === undefined ? null : one.net_rx + (one.net_tx || 0)), kind: 'bytes/s' },
  { key: 'restarts', label: 'restarts', share: () => null, size: (one) => one.restarts ?? null, kind: 'count' },
  { key: 'state', label: 'state', share: () => null, size: () => null, kind: '' },
];

/** From calm to loud: shades of the accent up to 70 % of the limit, then amber and red. */
const SHADES = [0.18, 0.34, 0.55, 0.8];

/** A function that gives colour and outline of one container. Without a limit it is compared with the largest at hand. */
export function colourOf(key, containers) {
  const metric = COLOURS.find((one) => one.key === key) || COLOURS[0];
  const shades = SHADES.map((_, index) => shade((index + 0.5) * 0.175));
  const [critical, warning] = [token('--critical'), token('--warning')];
  const step = (part) => shades[Math.max(0, Math.min(3, Math.floor((part / 0.7) * 4)))];
  let largest = 0;
  for (const one of containers) largest = Math.max(largest, metric.size(one) || 0);
  return (one) => {
    if (one.level === 'nodata' || (one.state && one.state !== 'running' && key !== 'state' && one.level !== 'critical')) return { hollow: true };
    if (key === 'state') return { color: token({ ok: '--ok', warning: '--warning', critical: '--critical', none: '--none', unknown: '--unknown', muted: '--none' }[levelOf(one.level)]) };
    const part = metric.share(one);
    if (part !== null) return { color: part >= 0.9 ? critical : part >= 0.7 ? warning : step(part) };
    const size = metric.size(one);
    if (size === null || size === undefined) return { hollow: true };
    return { color: step(largest > 0 ? (size / largest) * 0.69 : 0) };
  };
}

function shade(part) {
  return mix(token('--surface'), token('--d0'), SHADES[Math.max(0, Math.min(3, Math.floor((part / 0.7) * 4)))]);
}

function mix(from, to, share_) {
  const read = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const [a, b] = [read(from), read(to)];
  return `rgb(${a.map((value, index) => Math.round(value + (b[index] - value) * share_)).join(',')})`;
}

/** The key beside the map. */
export function scaleKey(key) {
  if (key === 'state') return null;
  const limited = ['memory', 'cpu', 'throttled'].includes(key);
  const box = (color) => h('i', { style: { background: color } });
  return [h('span', {}, '0'), SHADES.map((_, index) => box(shade(index * 0.175 + 0.01))),
    limited ? [h('span', {}, '70'), box(token('--warning')), h('span', {}, '90'), box(token('--critical')), h('span', {}, '100 %')] : h('span', {}, 'most')];
}

/** The tip over a square. */
export function aboutSquare(one) {
  if (!one) return null;
  const against = (value, limit, kind) => (limit > 0 ? `${quantity(value, kind)} of ${quantity(limit, kind)}` : quantity(value, kind));
  return [
    h('div', {}, h('b', {}, one.name)),
    h('div', { class: 'dim' }, [one.state, one.node].filter(Boolean).join(' · ')),
    h('div', {}, `CPU ${against(one.cpu, one.cpu_limit, 'cores')}`),
    h('div', {}, `Memory ${against(one.memory, one.memory_limit, 'bytes')}`),
    (one.why || []).map((why) => h('div', { class: `state ${levelOf(one.level)}` }, h('span', { class: 'word' }, why))),
  ];
}
