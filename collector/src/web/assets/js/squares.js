// The map: one square for each container, grouped, coloured by a metric against its limit. One canvas, so that 10,000 stay smooth.

import { h, framed } from './dom.js';
import { token } from './color.js';
import { tip } from './menu.js';

const LABEL = 18;
const GAP = 2;

/**
 * `groups`: `[{name, items: [{key, color, hollow, ring}]}]`. `about(key)` gives the tip, `open(key)` is the click.
 */
export function squares(host, { about, open }) {
  const canvas = h('canvas', { role: 'img' });
  const root = h('div', { class: 'squares' }, canvas);
  host.append(root);
  let groups = [];
  let places = [];
  let selected = '';
  let hovered = '';
  let cell = 18;

  function layout(width) {
    const total = groups.reduce((sum, group) => sum + group.items.length, 0);
    cell = total > 4000 ? 7 : total > 1500 ? 10 : total > 400 ? 13 : 18;
    places = [];
    let [x, y, line] = [0, 0, 0];
    for (const group of groups) {
      const count = group.items.length;
      const named = group.name !== null;
      // A block is about twice as wide as high, but wide enough to read its name.
      const wide = named ? Math.max(Math.ceil(Math.sqrt(count * 2.2)), Math.ceil(Math.min(120, 12 + group.name.length * 6.4) / (cell + GAP))) : Math.floor(width / (cell + GAP));
      const across = Math.max(1, Math.min(wide, Math.floor(width / (cell + GAP))));
      const down = Math.ceil(count / across);
      const blockWidth = across * (cell + GAP);
      const blockHeight = down * (cell + GAP) + (named ? LABEL : 0);
      if (x > 0 && x + blockWidth > width) { x = 0; y += line + 10; line = 0; }
      group.items.forEach((item, index) => places.push({
        item, x: x + (index % across) * (cell + GAP), y: y + (named ? LABEL : 0) + Math.floor(index / across) * (cell + GAP),
      }));
      group.box = { x, y, width: blockWidth };
      x += blockWidth + 14;
      line = Math.max(line, blockHeight);
    }
    return y + line;
  }

  function draw() {
    const width = root.clientWidth;
    if (!width) return;
    const height = Math.max(cell, layout(width));
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext('2d');
    context.scale(ratio, ratio);
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'top';
    for (const group of groups) {
      if (group.name === null) continue;
      context.fillStyle = token('--text-3');
      context.fillText(cutText(context, `${group.name || 'none'} ${group.items.length}`, group.box.width + 8), group.box.x, group.box.y + 2);
    }
    for (const { item, x, y } of places) drawOne(context, item, x, y);
  }

  function drawOne(context, item, x, y) {
    const color = item.color;
    if (item.hollow) {
      context.strokeStyle = token('--none');
      context.lineWidth = 1;
      context.setLineDash([2, 2]);
      context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
      context.setLineDash([]);
    } else {
      context.fillStyle = color;
      context.fillRect(x, y, cell, cell);
    }
    if (item.ring) {
      // The shape of the state inside its square, so that colour is not the only sign.
      context.fillStyle = token('--surface');
      if (item.ring === 'critical') context.fillRect(x + cell * 0.32, y + cell * 0.32, cell * 0.36, cell * 0.36);
      else {
        context.beginPath();
        context.moveTo(x + cell / 2, y + cell * 0.26);
        context.lineTo(x + cell * 0.76, y + cell * 0.74);
        context.lineTo(x + cell * 0.24, y + cell * 0.74);
        context.fill();
      }
    }
    if (item.key === selected || item.key === hovered) {
      context.strokeStyle = token('--text');
      context.lineWidth = 1.5;
      context.strokeRect(x - 0.75, y - 0.75, cell + 1.5, cell + 1.5);
    }
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const found = places.find(({ x, y }) => px >= x - 1 && px < x + cell + 1 && py >= y - 1 && py < y + cell + 1);
    return found ? found.item.key : '';
  }

  const redraw = framed(draw);
  canvas.addEventListener('pointermove', (event) => {
    const key = at(event);
    canvas.style.cursor = key ? 'pointer' : 'default';
    if (key !== hovered) { hovered = key; redraw(); }
    tip(key ? about(key) : null, event.clientX, event.clientY);
  });
  canvas.addEventListener('pointerleave', () => { hovered = ''; tip(null); redraw(); });
  canvas.addEventListener('click', (event) => { const key = at(event); if (key) { tip(null); open(key); } });
  addEventListener('themechange', redraw);
  const sizes = new ResizeObserver(redraw);
  sizes.observe(root);
  return {
    root,
    set(next, words) {
      groups = next;
      canvas.setAttribute('aria-label', words);
      redraw();
    },
    select(key) {
      selected = key;
      redraw();
    },
    destroy() {
      removeEventListener('themechange', redraw);
      sizes.disconnect();
      tip(null);
    },
  };
}

function cutText(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}
