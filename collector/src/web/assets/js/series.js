// From the answer of a range query to what a chart draws: a grid of times, gaps where nothing was, names that tell apart.

import { toNumber } from './api.js';
import { identity } from './color.js';
import { MAX_LINES } from './chart.js';

/** `{times, series: [{key, label, labels, values}]}` of a matrix, on the grid that was asked for. */
export function onGrid({ result, start, end, step }) {
  const count = Math.floor((end - start) / step + 1e-9) + 1;
  const times = Array.from({ length: count }, (_, index) => start + index * step);
  const series = result.map(({ metric, values }) => {
    const row = new Array(count).fill(null);
    for (const [time, text] of values || []) {
      const index = Math.round((time - start) / step);
      const value = toNumber(text);
      if (index >= 0 && index < count && Number.isFinite(value)) row[index] = value;
    }
    return { key: identity(metric), labels: metric, values: row };
  });
  name(series);
  return { times, series };
}

/**
 * The name of each series: the fewest labels that tell them apart, the best known first; with one series, its metric.
 * Ids and images are left out while the rest suffices: nobody reads a cgroup's path.
 */
export function name(series) {
  const differing = [...new Set(series.flatMap((one) => Object.keys(one.labels)))]
    .filter((label) => label !== '__name__' && series.some((one) => one.labels[label] !== series[0].labels[label])).sort(rank);
  const metrics = new Set(series.map((one) => one.labels.__name__ || '')).size > 1;
  const chosen = [];
  let groups = distinct(series, metrics, chosen);
  for (const label of differing) {
    if (groups === series.length) break;
    const more = distinct(series, metrics, [...chosen, label]);
    if (more > groups) { chosen.push(label); groups = more; }
  }
  for (const one of series) {
    const parts = chosen.map((label) => short(one.labels[label] || ''));
    one.label = [(metrics || series.length === 1) && one.labels.__name__, ...parts].filter(Boolean).join(' · ') || seriesText(one.labels);
  }
}

/** How many series these labels tell apart. */
function distinct(series, metrics, labels) {
  return new Set(series.map((one) => [metrics ? one.labels.__name__ : '', ...labels.map((label) => one.labels[label] || '')].join('\u0000'))).size;
}

/** A long id by its beginning. */
function short(value) {
  return value.replace(/^.*?([0-9a-f]{12})[0-9a-f]{52}.*$/, '$1');
}

const FIRST = ['name', 'namespace', 'pod', 'container', 'check', 'device', 'mountpoint', 'mode', 'service', 'instance', 'node'];
const LAST = ['image', 'id'];
function rank(a, b) {
  const place = (label) => (FIRST.includes(label) ? FIRST.indexOf(label) : LAST.includes(label) ? 100 + LAST.indexOf(label) : 50);
  return place(a) - place(b) || a.localeCompare(b);
}

/** As PromQL writes it. */
export function seriesText(labels) {
  const { __name__: metric = '', ...rest } = labels;
  const inside = Object.keys(rest).sort().map((label) => `${label}="${rest[label]}"`).join(', ');
  return inside || !metric ? `${metric}{${inside}}` : metric;
}

/** The lines that are drawn: the largest, and the sum of the rest as *other*. */
export function limited(series, most = MAX_LINES) {
  if (series.length <= most) return { drawn: series, rest: 0 };
  const ranked = [...series].sort((a, b) => weight(b) - weight(a));
  const drawn = ranked.slice(0, most);
  const others = ranked.slice(most);
  const sum = others[0].values.map((_, index) => {
    let total = null;
    for (const { values } of others) if (values[index] !== null) total = (total || 0) + values[index];
    return total;
  });
  return { drawn: [...drawn, { key: 'other', label: `other (${others.length} summed)`, labels: {}, values: sum, token: '--other', dash: [2, 3] }], rest: others.length };
}

function weight({ values }) {
  let sum = 0;
  let count = 0;
  for (const value of values) if (value !== null) { sum += Math.abs(value); count += 1; }
  return count ? sum / count : -1;
}

/** Least, mean, greatest and last value of a series. */
export function summary(values) {
  let [least, greatest, sum, count, last] = [Infinity, -Infinity, 0, 0, NaN];
  for (const value of values) {
    if (value === null) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
    sum += value;
    count += 1;
    last = value;
  }
  if (count === 0) return { least: NaN, mean: NaN, greatest: NaN, last: NaN };
  return { least, mean: sum / count, greatest, last };
}
