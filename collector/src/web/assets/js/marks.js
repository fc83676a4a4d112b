// What is drawn over a chart besides its series: thresholds of rules, and marks for what happened (deploys, restarts, OOM kills).

import { token } from './color.js';

const TOKENS = { critical: '--critical', warning: '--warning', ok: '--ok', none: '--none', unknown: '--unknown' };
/** A mark is hit within this many pixels. */
const NEAR = 5;

export function drawThresholds(self, thresholds) {
  if (!thresholds) return;
  const { ctx } = self;
  const ratio = devicePixelRatio || 1;
  for (const { value, label, level } of thresholds) {
    const y = Math.round(self.valToPos(value, 'y', true)) + 0.5;
    if (y < self.bbox.top - 1 || y > self.bbox.top + self.bbox.height) continue;
    ctx.save();
    ctx.strokeStyle = token(TOKENS[level] || '--critical');
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(self.bbox.left, y);
    ctx.lineTo(self.bbox.left + self.bbox.width, y);
    ctx.stroke();
    if (label) {
      ctx.font = `${11 * ratio}px system-ui, sans-serif`;
      ctx.textAlign = 'right';
      ctx.textBaseline = y - self.bbox.top > 16 * ratio ? 'bottom' : 'top';
      ctx.fillText(label, self.bbox.left + self.bbox.width - 4 * ratio, y + (ctx.textBaseline === 'bottom' ? -2 : 2) * ratio);
    }
    ctx.restore();
  }
}

export function drawMarks(self, marks) {
  if (!marks || marks.length === 0) return;
  const { ctx } = self;
  const ratio = devicePixelRatio || 1;
  for (const { time, level } of marks) {
    const x = Math.round(self.valToPos(time / 1000, 'x', true)) + 0.5;
    if (x < self.bbox.left || x > self.bbox.left + self.bbox.width) continue;
    ctx.save();
    ctx.strokeStyle = token(TOKENS[level] || '--none');
    ctx.fillStyle = ctx.strokeStyle;
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 2 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, self.bbox.top);
    ctx.lineTo(x, self.bbox.top + self.bbox.height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    // The flag at the foot is what is aimed at.
    const foot = self.bbox.top + self.bbox.height;
    ctx.beginPath();
    ctx.moveTo(x, foot - 6 * ratio);
    ctx.lineTo(x + 4 * ratio, foot);
    ctx.lineTo(x - 4 * ratio, foot);
    ctx.fill();
    ctx.restore();
  }
}

/** The mark under the pointer. */
export function markAt(self, marks, left) {
  return (marks || []).find(({ time }) => Math.abs(self.valToPos(time / 1000, 'x') - left) <= NEAR) || null;
}
