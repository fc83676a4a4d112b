// Swim lanes: in which state an alert was when, from the series ALERTS that the rules write.

import { h } from '../../dom.js';
import { keyOf } from '../../alertsfeed.js';
import { token } from '../../color.js';
import { duration, stamp, zone } from '../../format.js';
import { tip } from '../../menu.js';
import { view } from '../../router.js';

/** Spells by lane (an alert's labels, and its name for all of them together): `[{from, to, state}]`, in milliseconds. */
export function lanesOf(past) {
  const lanes = new Map();
  if (!past) return lanes;
  for (const { metric, values } of past.result) {
    const { __name__, alertstate, ...labels } = metric;
    const spells = [];
    for (const [time] of values) {
      const last = spells[spells.length - 1];
      if (last && time * 1000 - last.to <= past.step * 1500) last.to = time * 1000;
      else spells.push({ from: time * 1000, to: time * 1000, state: alertstate });
    }
    // A point stands for the step that follows it.
    for (const spell of spells) spell.to += past.step * 1000;
    for (const key of [keyOf(labels), labels.alertname]) lanes.set(key, [...(lanes.get(key) || []), ...spells]);
  }
  // What fires is drawn over what was pending at the same time.
  for (const spells of lanes.values()) spells.sort((a, b) => (a.state === 'firing') - (b.state === 'firing') || a.from - b.from);
  return lanes;
}

export function drawLane(canvas, spells, { from, to }) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  const x = (ms) => Math.max(0, Math.min(width, ((ms - from) / (to - from)) * width));
  context.fillStyle = token('--line');
  context.fillRect(0, height / 2 - 0.5, width, 1);
  for (const spell of spells) {
    const left = x(spell.from);
    const long = Math.max(2, x(Math.min(spell.to, to)) - left);
    const firing = spell.state === 'firing';
    context.fillStyle = token(firing ? '--critical' : '--warning');
    // Firing is a full bar, pending a half one: shape besides colour.
    context.fillRect(left, firing ? 1 : height / 2 - 2, long, firing ? height - 2 : 4);
  }
}

/** The tip over a lane; null hides it. */
export function laneTip(event, lanes) {
  const canvas = event && event.target.closest('canvas.lane');
  if (!canvas || !canvas.row) return tip(null);
  const now = view();
  const box = canvas.getBoundingClientRect();
  const ms = now.from + ((event.clientX - box.left) / box.width) * (now.to - now.from);
  const spell = [...(lanes.get(canvas.row.lane) || [])].reverse().find((one) => ms >= one.from && ms <= one.to);
  const time = (at) => stamp(at, now.utc).slice(5);
  return tip([
    h('div', { class: 'dim num' }, `${stamp(ms, now.utc)} ${zone(ms, now.utc)}`),
    spell ? h('div', {}, h('b', {}, spell.state), ` for ${duration((Math.min(spell.to, now.to) - spell.from) / 1000)}, ${time(spell.from)} – ${time(Math.min(spell.to, now.to))}`) : h('div', {}, 'inactive'),
  ], event.clientX, event.clientY);
}
