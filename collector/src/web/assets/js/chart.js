// A chart of time series on uPlot: gaps stay gaps, one crosshair for all charts of the page, drag zooms the page's time.

/* global uPlot */
import { h, fill } from './dom.js';
import { looks, token } from './color.js';
import { exact, quantity, scale, stamp, zone } from './format.js';
import { href, patch, view } from './router.js';
import { absolute } from './time.js';
import { axes, splitsFor } from './axes.js';
import { drawMarks, drawThresholds, markAt } from './marks.js';
import { tip } from './menu.js';
import { copyButton } from './states.js';

/** More lines than this are a carpet: the rest is summed as *other*. */
export const MAX_LINES = 12;
const SYNC = 'page';
const TIP_ROWS = 14;

/**
 * Makes a chart in `host`. `options`: `title`, `kind` (unit of values, see format.js), `height`, `query` (to copy or
 * open), `stacked`, `log`, `legend` (default true when there is more than one series), `top` (a fixed highest value).
 * Returns `{set(data), destroy()}`; `data`: `times` (seconds), `series` `[{key, label, values, token?, dash?}]`,
 * `thresholds` `[{value, label, level}]`, `marks` `[{time, label, level}]`.
 */
export function chart(host, options = {}) {
  const unit = h('span', { class: 'unit' });
  const plot = h('div', { class: 'plot' });
  const legend = h('div', { class: 'legend', hidden: true });
  const actions = h('div', { class: 'right' });
  const root = h('figure', { class: 'chart' },
    options.title !== undefined && h('header', {}, h('h3', {}, options.title), unit, actions), plot, legend);
  host.append(root);
  if (options.query) {
    actions.append(copyButton(() => queryText(options.query), 'Copy the query'),
      h('a', { class: 'btn plain', href: href('metrics', { q: queryList(options.query) }), title: 'Open the query in Metrics' }, 'Query'));
  }
  let data = null;
  let drawn = null;
  let alone = '';
  const hidden = new Set();

  function set(next) {
    data = next;
    draw();
  }

  function draw() {
    if (!data || !root.isConnected) return;
    const { kind } = options;
    const styles = looks(data.series.filter((one) => !one.token).map((one) => one.key));
    const series = data.series.map((one) => ({ ...one, ...(one.token ? { dash: one.dash || [] } : styles.get(one.key)) }));
    const shown = series.filter((one) => (alone ? one.key === alone : !hidden.has(one.key)));
    const lines = options.stacked ? stack(shown) : shown;
    const highest = Math.max(options.top || 0, ...lines.map((one) => peak(one.values)), ...(data.thresholds || []).map((one) => one.value));
    const scaled = scale(kind, highest);
    fill(unit, scaled.unit);
    root.dataset.points = String(data.times.length);
    drawLegend(series);
    const now = view();
    const config = uplotConfig({ lines, shown, options, scaled, highest, width: plot.clientWidth || 400, times: data.times, data, now, hover });
    if (drawn) drawn.destroy();
    plot.replaceChildren();
    drawn = new uPlot(config, [data.times, ...lines.map((one) => one.values)], plot);
  }

  function hover(self, index) {
    const box = self.over.getBoundingClientRect();
    if (index === null || index === undefined || self.cursor.left < 0) return tip(null);
    const shown = data.series.filter((one) => (alone ? one.key === alone : !hidden.has(one.key)));
    const styles = looks(data.series.filter((one) => !one.token).map((one) => one.key));
    const cursorValue = self.posToVal(self.cursor.top, 'y');
    const rows = shown.map((one) => ({ one, value: one.values[index] })).filter((row) => row.value !== null && row.value !== undefined);
    rows.sort((a, b) => b.value - a.value);
    let near = null;
    for (const row of rows) if (!near || Math.abs(row.value - cursorValue) < Math.abs(near.value - cursorValue)) near = row;
    const cut = rows.slice(0, TIP_ROWS);
    if (near && !cut.includes(near)) cut[cut.length - 1] = near;
    const time = data.times[index] * 1000;
    const mark = markAt(self, data.marks, self.cursor.left);
    tip([
      h('div', { class: 'dim num' }, `${stamp(time, view().utc)} ${zone(time, view().utc)}`),
      mark && h('div', {}, mark.label),
      cut.map((row) => h('div', { class: `row ${row === near && rows.length > 1 ? 'near' : ''}` }, swatch(row.one.token ? row.one : styles.get(row.one.key)),
        h('span', { class: 'cut' }, row.one.label), h('span', { class: 'num', title: exact(row.value, options.kind) }, quantity(row.value, options.kind)))),
      rows.length > cut.length && h('div', { class: 'dim' }, `and ${rows.length - cut.length} more`),
      rows.length === 0 && !mark && h('div', { class: 'dim' }, 'no data here'),
    ], box.left + self.cursor.left, box.top + self.cursor.top);
    return undefined;
  }

  function drawLegend(series) {
    legend.hidden = options.legend === false || (series.length < 2 && options.legend !== true);
    if (legend.hidden) return;
    fill(legend, series.map((one) => h('button', {
      class: (alone ? one.key !== alone : hidden.has(one.key)) ? 'off' : '', title: `${one.label}\nclick: only this one, ctrl-click: hide it`,
      onclick: (event) => toggle(one.key, event.ctrlKey || event.metaKey),
    }, swatch(one), h('span', { class: 'cut' }, one.label))));
  }

  function toggle(key, single) {
    if (single) {
      alone = '';
      if (hidden.has(key)) hidden.delete(key); else hidden.add(key);
    } else {
      hidden.clear();
      alone = alone === key ? '' : key;
    }
    draw();
  }

  const repaint = () => draw();
  addEventListener('themechange', repaint);
  const sizes = new ResizeObserver(() => {
    if (drawn && plot.clientWidth && plot.clientWidth !== drawn.width) drawn.setSize({ width: plot.clientWidth, height: options.height || 160 });
  });
  sizes.observe(plot);
  return {
    set,
    root,
    isolate: (key) => toggle(key, false),
    destroy() {
      removeEventListener('themechange', repaint);
      sizes.disconnect();
      if (drawn) drawn.destroy();
      tip(null);
      root.remove();
    },
  };
}

function uplotConfig({ lines, shown, options, scaled, highest, width, times, data, now, hover }) {
  const height = options.height || 160;
  const range = [now.from / 1000, now.to / 1000];
  const [low, high] = data.range || range;
  return {
    width, height, ms: 1e-3, padding: [8, 8, 0, 0], legend: { show: false },
    tzDate: (seconds) => (now.utc ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
    scales: {
      x: { time: true, range: () => [low, high] },
      y: options.log ? { distr: 3 } : { range: (self, min, max) => (options.free ? [min, max] : [Math.min(0, min || 0), ceiling(Math.max(highest, max || 0))]) },
    },
    axes: axes({ scaled, kind: options.kind, utc: now.utc, log: options.log, splits: splitsFor(options.kind, scaled) }),
    series: [{}, ...lines.map((one, index) => ({
      label: one.label, stroke: () => token(one.token), width: one.width || 1.5, dash: one.dash, spanGaps: false,
      points: { show: (self, at) => lonely(self.data[at]) , size: 4 },
      fill: options.stacked ? () => withAlpha(token(one.token), 0.35) : lines.length === 1 && options.area !== false ? () => withAlpha(token(one.token), 0.1) : undefined,
      show: index < lines.length,
    }))],
    bands: options.stacked ? lines.slice(1).map((_, index) => ({ series: [index + 1, index + 2] })) : undefined,
    cursor: {
      y: false, points: { size: 5 }, drag: { x: true, y: false, setScale: false },
      sync: { key: SYNC, setSeries: false }, bind: { dblclick: () => () => { history.back(); } },
      focus: { prox: 24 },
    },
    focus: { alpha: 0.35 },
    hooks: {
      setCursor: [(self) => { if (self.over.matches(':hover')) hover(self, self.cursor.idx); }],
      setSelect: [(self) => {
        if (self.select.width < 4) return;
        const from = self.posToVal(self.select.left, 'x') * 1000;
        const to = self.posToVal(self.select.left + self.select.width, 'x') * 1000;
        tip(null);
        patch(absolute(from, to));
      }],
      drawAxes: [(self) => drawMarks(self, data.marks)],
      draw: [(self) => drawThresholds(self, data.thresholds)],
      ready: [(self) => self.over.addEventListener('mouseleave', () => tip(null))],
    },
  };
}

/** A point with a gap at both sides would not be seen as a line. */
function lonely(values) {
  let run = 0;
  let count = 0;
  for (const value of values) {
    if (value === null || value === undefined) {
      if (run === 1) return true;
      run = 0;
    } else { run += 1; count += 1; }
  }
  return run === 1 || count === 1;
}

function stack(series) {
  const sums = [];
  // The largest lies at the bottom, where it is read best; uPlot fills from each line down to the next one.
  const ordered = [...series].sort((a, b) => total(b.values) - total(a.values));
  const stacked = ordered.map((one) => ({
    ...one, values: one.values.map((value, index) => {
      if (value === null || value === undefined) return sums[index] === undefined ? null : sums[index];
      sums[index] = (sums[index] || 0) + value;
      return sums[index];
    }),
  }));
  return stacked.reverse();
}

const total = (values) => values.reduce((sum, value) => sum + (value || 0), 0);

function peak(values) {
  let top = 0;
  for (const value of values) if (value > top && value !== Infinity) top = value;
  return top;
}

const ceiling = (top) => (top > 0 ? top * 1.06 : 1);

function withAlpha(color, alpha) {
  const hex = /^#(..)(..)(..)$/.exec(color);
  return hex ? `rgba(${parseInt(hex[1], 16)}, ${parseInt(hex[2], 16)}, ${parseInt(hex[3], 16)}, ${alpha})` : color;
}

/** The bit of line that stands for a series in legends and tables. */
export function swatch({ token: name, dash }) {
  return h('span', { class: 'swatch', style: { borderTopColor: `var(${name})`, borderTopStyle: dash && dash.length ? (dash[0] > 3 ? 'dashed' : 'dotted') : 'solid' } });
}

const queryList = (query) => (typeof query === 'function' ? query() : query);
const queryText = (query) => [].concat(queryList(query)).join('\n');
