// The last runs of a check as ticks: a success is as high as it was slow, a failure is a full red bar, a spoiled run is a dash.

import { h } from '../../dom.js';
import { token } from '../../color.js';
import { quantity, stamp, zone } from '../../format.js';
import { tip } from '../../menu.js';
import { view } from '../../router.js';

const SHOWN = 90;

export function drawTicks(canvas, ticks) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const shown = ticks.slice(-SHOWN);
  canvas.ticks = shown;
  const wide = width / SHOWN;
  const slowest = Math.max(0.001, ...shown.map((one) => (one.success ? one.duration_seconds : 0)));
  for (let index = 0; index < SHOWN; index += 1) {
    // The newest stands at the right edge, however few there are.
    const one = shown[index - (SHOWN - shown.length)];
    const x = index * wide;
    if (!one) {
      context.fillStyle = token('--line');
      context.fillRect(x, height - 2, Math.max(1, wide - 1), 2);
    } else if (one.success === true) {
      const high = 5 + (one.duration_seconds / slowest) * (height - 10);
      context.fillStyle = token('--ok');
      context.globalAlpha = 0.75;
      context.fillRect(x, height - high, Math.max(1, wide - 1), high);
      context.globalAlpha = 1;
    } else if (one.success === false) {
      context.fillStyle = token('--critical');
      context.fillRect(x, 0, Math.max(1, wide - 1), height);
    } else {
      context.fillStyle = token('--unknown');
      context.fillRect(x, height / 2 - 1, Math.max(1, wide - 1), 2);
    }
  }
}

/** The tip over a tick; null hides it. */
export function tickTip(event) {
  const canvas = event && event.target.closest('canvas.ticks');
  if (!canvas || !canvas.ticks) return tip(null);
  const box = canvas.getBoundingClientRect();
  const index = Math.floor(((event.clientX - box.left) / box.width) * SHOWN) - (SHOWN - canvas.ticks.length);
  const one = canvas.ticks[index];
  if (!one) return tip(null);
  const outcome = one.success === true ? 'up' : one.success === false ? `failed${one.class ? `: ${one.class.replace(/_/g, ' ')}` : ''}` : 'the checker itself failed';
  return tip([h('div', { class: 'dim num' }, `${stamp(one.time, view().utc)} ${zone(one.time, view().utc)}`), h('div', {}, h('b', {}, outcome), ` · ${quantity(one.duration_seconds, 'seconds')}`)], event.clientX, event.clientY);
}
