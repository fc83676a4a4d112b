// Sparklines: 60 × 16 pixels, no axis; the last value stands beside them.

import { token } from './color.js';

/** Draws `values` (null is a gap) into a canvas; `max` fixes the top, otherwise it is the highest value. */
export function drawSpark(canvas, values, { color = '--d0', max = 0 } = {}) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth || 60;
  const height = canvas.clientHeight || 16;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!values || values.length === 0) return;
  let top = max;
  for (const value of values) if (value > top) top = value;
  const x = (index) => (values.length < 2 ? width - 1 : 1 + (index * (width - 2)) / (values.length - 1));
  const y = (value) => (top > 0 ? height - 1.5 - (value / top) * (height - 3) : height - 1.5);
  context.beginPath();
  let drawing = false;
  let from = 0;
  const areas = [];
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      if (drawing) areas.push([from, index - 1]);
      drawing = false;
      return;
    }
    if (drawing) context.lineTo(x(index), y(value));
    else { context.moveTo(x(index), y(value)); from = index; }
    drawing = true;
  });
  if (drawing) areas.push([from, values.length - 1]);
  context.strokeStyle = token(color);
  context.lineWidth = 1.25;
  context.lineJoin = 'round';
  context.stroke();
  // A faint body below the line gives small charts a weight that a hairline lacks.
  context.globalAlpha = 0.12;
  context.fillStyle = token(color);
  for (const [start, end] of areas) {
    context.beginPath();
    context.moveTo(x(start), height);
    for (let index = start; index <= end; index += 1) context.lineTo(x(index), y(values[index]));
    context.lineTo(x(end), height);
    context.fill();
  }
  context.globalAlpha = 1;
}
