// The axes of charts: units once per axis, steps that people count in, times that say the day where it changes.

import { token } from './color.js';
import { day, number, parts } from './format.js';

const FONT = '11px system-ui, sans-serif';
const pad = (value) => String(value).padStart(2, '0');

export function axes({ scaled, utc, log, splits }) {
  const common = {
    stroke: () => token('--text-3'), font: FONT, ticks: { show: false }, border: { show: false },
    grid: { stroke: () => token('--grid'), width: 1 },
  };
  return [
    { ...common, space: 64, size: 24, gap: 4, grid: { show: false }, ticks: { show: true, size: 4, width: 1, stroke: () => token('--line') }, values: (self, at) => times(at, utc) },
    {
      ...common, size: (self, values) => Math.max(28, ...(values || []).map((value) => 14 + 6.4 * value.length)), gap: 6, space: 32,
      splits: log ? undefined : splits,
      values: (self, at) => at.map((value) => (value === null || value === undefined ? '' : number(value / scaled.factor))),
    },
  ];
}

/** Round steps in the axis's own unit: 64, 128 MiB are not round in bytes, 0.5 of a second is not in milliseconds. */
export function splitsFor(kind, scaled) {
  return (self, axis, min, max, increment, space) => {
    const room = Math.max(2, Math.floor(self.bbox.height / (devicePixelRatio || 1) / 34));
    const step = niceStep((max - min) / scaled.factor / room, kind) * scaled.factor;
    const found = [];
    for (let value = Math.ceil(min / step - 1e-9) * step; value <= max + step * 1e-6; value += step) found.push(Number(value.toPrecision(12)));
    return found;
  };
}

/** The smallest round step not below `wanted`. */
export function niceStep(wanted, kind) {
  if (!(wanted > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(wanted));
  // Bytes are counted in powers of two once there are more than a few of a unit.
  if ((kind === 'bytes' || kind === 'bytes/s') && wanted > 2) return 2 ** Math.ceil(Math.log2(wanted));
  for (const factor of [1, 2, 2.5, 5, 10]) if (power * factor >= wanted * 0.999) return power * factor;
  return power * 10;
}

function times(at, utc) {
  let lastDay = '';
  const short = at.length > 1 && at[1] - at[0] < 60;
  return at.map((seconds, index) => {
    const p = parts(seconds * 1000, utc);
    const today = day(seconds * 1000, utc);
    const clock = `${pad(p.h)}:${pad(p.mi)}${short ? ':' + pad(p.s) : ''}`;
    const midnight = p.h === 0 && p.mi === 0 && p.s === 0;
    const changed = lastDay !== '' && today !== lastDay;
    lastDay = today;
    if (midnight || (changed && at.length > 1 && at[1] - at[0] >= 43200) || (index === 0 && at.length > 1 && at[1] - at[0] >= 43200)) return today;
    return clock;
  });
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Round instants for an axis drawn by hand: `[{ms, label}]`. */
export function axisTimes(from, to, width, utc) {
  const wanted = (to - from) / 1000 / Math.max(1, width / 90);
  const step = (TIME_STEPS.find((one) => one >= wanted) || 2592000) * 1000;
  // Local midnights are not multiples of a day since 1970.
  const shift = utc ? 0 : new Date(from).getTimezoneOffset() * 60_000;
  const found = [];
  for (let ms = Math.ceil((from - shift) / step) * step + shift; ms <= to; ms += step) found.push(ms);
  const labels = times(found.map((ms) => ms / 1000), utc);
  return found.map((ms, index) => ({ ms, label: labels[index] }));
}
