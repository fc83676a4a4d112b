// Lines over time, stacked by level; a drag over it zooms the page's time.

import { h } from '../../dom.js';
import { token } from '../../color.js';
import { LEVELS, levelWord } from '../../loki.js';
import { number, stamp, zone } from '../../format.js';
import { patch, view } from '../../router.js';
import { absolute } from '../../time.js';
import { axisTimes } from '../../axes.js';
import { tip } from '../../menu.js';

const HEIGHT = 72;
const FOOT = 18;

export function histogram(host, signal) {
  const canvas = h('canvas', { role: 'img', 'aria-label': 'Lines over time by level' });
  host.append(canvas);
  let data = null;
  let dragFrom = null;
  let dragTo = null;

  function set({ result, start, end, step }, now) {
    const count = Math.max(1, Math.round((end - start) / step));
    const bars = Array.from({ length: count }, (_, index) => ({ from: (start + index * step) * 1000, to: (start + (index + 1) * step) * 1000, counts: {}, sum: 0 }));
    for (const { metric, values } of result) {
      const level = levelWord(metric.detected_level);
      for (const [time, text] of values) {
        // A count at an instant is of the step before it.
        const bar = bars[Math.round((time - start) / step) - 1];
        const value = Number(text);
        if (!bar || !value) continue;
        bar.counts[level] = (bar.counts[level] || 0) + value;
        bar.sum += value;
      }
    }
    data = { bars, from: now.from, to: now.to };
    draw();
  }

  const x = (ms) => ((ms - data.from) / (data.to - data.from)) * host.clientWidth;
  const at = (px) => data.from + (px / host.clientWidth) * (data.to - data.from);

  function draw() {
    if (!data || !host.clientWidth) return;
    const ratio = devicePixelRatio || 1;
    const width = host.clientWidth;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${HEIGHT}px`;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    const most = Math.max(1, ...data.bars.map((bar) => bar.sum));
    const floor = HEIGHT - FOOT;
    context.fillStyle = token('--line');
    context.fillRect(0, floor, width, 1);
    for (const bar of data.bars) {
      const left = Math.max(0, x(bar.from));
      const right = Math.min(width, x(bar.to));
      let y = floor;
      // The bad ones stand at the foot, where they are compared from bar to bar; a single error must still be seen.
      for (const level of LEVELS) {
        const value = bar.counts[level];
        if (!value) continue;
        const high = Math.max(1.5, (value / most) * (floor - 6));
        context.fillStyle = token(level === 'unknown' ? '--line-strong' : `--level-${level}`);
        context.fillRect(left + 0.5, y - high, Math.max(1, right - left - 1), high);
        y -= high;
      }
    }
    drawAxis(context, width, floor);
    if (dragFrom !== null) {
      context.fillStyle = token('--accent');
      context.globalAlpha = 0.16;
      context.fillRect(Math.min(dragFrom, dragTo), 0, Math.abs(dragTo - dragFrom), floor);
      context.globalAlpha = 1;
    }
    context.fillStyle = token('--text-3');
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'top';
    context.textAlign = 'right';
    context.fillText(number(most), width - 2, 0);
  }

  function drawAxis(context, width, floor) {
    context.fillStyle = token('--text-3');
    context.font = '11px system-ui, sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'top';
    for (const { ms, label } of axisTimes(data.from, data.to, width, view().utc)) {
      const px = x(ms);
      if (px > 20 && px < width - 20) context.fillText(label, px, floor + 4);
    }
  }

  canvas.addEventListener('pointerdown', (event) => {
    if (!data) return;
    canvas.setPointerCapture(event.pointerId);
    dragFrom = dragTo = event.offsetX;
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!data) return;
    if (dragFrom !== null) { dragTo = Math.max(0, Math.min(host.clientWidth, event.offsetX)); draw(); tip(null); return; }
    const ms = at(event.offsetX);
    const bar = data.bars.find((one) => ms >= one.from && ms < one.to);
    tip(bar ? [h('div', { class: 'dim num' }, `${stamp(bar.from, view().utc)} ${zone(bar.from, view().utc)}`),
      bar.sum === 0 ? h('div', { class: 'dim' }, 'no lines') : LEVELS.filter((level) => bar.counts[level]).map((level) => h('div', { class: 'row' },
        h('span', { class: 'swatch', style: { borderTopColor: `var(${level === 'unknown' ? '--line-strong' : `--level-${level}`})`, borderTopWidth: '8px' } }), h('span', {}, level), h('span', { class: 'num' }, number(bar.counts[level], 9))))] : null, event.clientX, event.clientY);
  });
  const finish = (event) => {
    if (dragFrom === null) return;
    const [from, to] = [Math.min(dragFrom, event.offsetX), Math.max(dragFrom, event.offsetX)];
    dragFrom = null;
    if (to - from > 4) patch(absolute(at(from), at(to)));
    draw();
  };
  canvas.addEventListener('pointerup', finish);
  canvas.addEventListener('dblclick', () => history.back());
  canvas.addEventListener('pointerleave', () => tip(null));
  addEventListener('themechange', draw, { signal });
  const sizes = new ResizeObserver(draw);
  sizes.observe(host);
  signal.addEventListener('abort', () => { sizes.disconnect(); tip(null); });
  return { set };
}
