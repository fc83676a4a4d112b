// How numbers and times are written: three significant digits, the unit once, absent is – and zero is 0.

export const ABSENT = '–';

const BINARY = [['B', 1], ['KiB', 1024], ['MiB', 1024 ** 2], ['GiB', 1024 ** 3], ['TiB', 1024 ** 4], ['PiB', 1024 ** 5]];
const SCALES = {
  bytes: BINARY,
  'bytes/s': BINARY.map(([unit, factor]) => [unit + '/s', factor]),
  cores: [['µcores', 1e-6], ['mcores', 1e-3], ['cores', 1]],
  seconds: [['ns', 1e-9], ['µs', 1e-6], ['ms', 1e-3], ['s', 1], ['min', 60], ['h', 3600], ['d', 86400]],
  ratio: [['%', 0.01]],
  percent: [['%', 1]],
  '/s': [['m/s', 1e-3], ['/s', 1], ['k/s', 1e3], ['M/s', 1e6], ['G/s', 1e9]],
  count: [['', 1], ['k', 1e3], ['M', 1e6], ['G', 1e9]],
  days: [['d', 1]],
};
// A rate below one a thousand seconds, a hundredth of a core: still more readable in the unit above.
const SMALLEST = { cores: 1, '/s': 1 };

export function isNumber(value) {
  return typeof value === 'number' && !Number.isNaN(value);
}

/** The unit in which values up to `max` read best: `{unit, factor}`. */
export function scale(kind, max) {
  const steps = SCALES[kind || 'count'];
  if (!steps) return { unit: kind, factor: 1 };
  const size = Math.abs(max);
  let chosen = steps[Math.min(SMALLEST[kind] || 0, steps.length - 1)];
  if (!isNumber(max) || size === 0 || size === Infinity) return named(kind === 'seconds' ? steps[3] : chosen);
  // Counts stay whole up to five digits: 1,482 restarts say more than 1.48 k.
  const enough = (factor) => size >= factor * ((kind || 'count') === 'count' && factor === 1e3 ? 10 : 1);
  for (const step of steps) if (enough(step[1]) && step[1] >= chosen[1]) chosen = step;
  if (kind === 'seconds') for (const step of steps) if (size >= step[1]) chosen = step; else break;
  return named(chosen);
}

function named([unit, factor]) {
  return { unit, factor };
}

/** A number with three significant digits, without exponents and without zeros that say nothing. */
export function number(value, digits = 3) {
  if (!isNumber(value)) return ABSENT;
  if (value === Infinity) return '∞';
  if (value === -Infinity) return '-∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(digits - 1).replace('e+', 'e');
  const whole = Math.floor(Math.log10(size)) + 1;
  const places = Math.max(0, digits - Math.max(whole, size < 1 ? whole : 1));
  const rounded = Math.round(size) >= 10 ** (digits - 1) ? Math.round(value) : Number(value.toFixed(Math.min(places, 12)));
  return group(String(rounded).includes('e') ? rounded.toFixed(Math.min(places, 12)) : String(rounded));
}

function group(text) {
  const [whole, part] = text.split('.');
  const spaced = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return part ? `${spaced}.${part}` : spaced;
}

/** A value with its own best unit: `412 MiB`, `1.2 s`, `83 %`. */
export function quantity(value, kind) {
  if (!isNumber(value)) return ABSENT;
  const { unit, factor } = scale(kind, value);
  const text = number(value / factor);
  return unit ? `${text} ${unit}` : text;
}

/** One unit for a whole column: `{unit, write(value)}`. The unit suits the typical (median) value that is not zero. */
export function column(values, kind) {
  const sizes = values.filter((value) => isNumber(value) && value !== 0 && Math.abs(value) !== Infinity).map(Math.abs).sort((a, b) => a - b);
  const { unit, factor } = scale(kind, sizes.length ? sizes[Math.floor(sizes.length * 0.6)] : 0);
  return { unit, factor, write: (value) => (isNumber(value) ? tidy(value / factor) : ABSENT) };
}

/** Within a column: a value too small for the column's unit is said to be so, not written as 0.00000123. */
function tidy(value) {
  const size = Math.abs(value);
  if (size > 0 && size < 0.01) return value > 0 ? '<0.01' : '>-0.01';
  if (size < 1) return number(Number(value.toFixed(2)));
  return number(value);
}

/** All of a value, for hovering and copying. */
export function exact(value, kind) {
  if (!isNumber(value)) return ABSENT;
  const units = { bytes: ' bytes', 'bytes/s': ' bytes/s', cores: ' cores', seconds: ' s', '/s': ' /s' };
  if (kind === 'ratio') return `${Number((value * 100).toPrecision(12))} %`;
  return group(String(value)) + (units[kind] || '');
}

/** A duration in seconds, in two parts at most: `3 d 4 h`, `12 min`, `0.8 s`. */
export function duration(seconds) {
  if (!isNumber(seconds)) return ABSENT;
  const size = Math.abs(seconds);
  if (size < 1) return quantity(seconds, 'seconds');
  if (size < 10) return `${number(seconds, 2)} s`;
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([length]) => Math.round(size) >= length);
  const [length, unit] = parts[first];
  // Seconds beside minutes only while they matter.
  const rest = parts[first + 1];
  const count = Math.floor(Math.round(size) / length);
  const left = rest ? Math.floor((Math.round(size) - count * length) / rest[0]) : 0;
  const second = left > 0 && (unit !== 'min' || count < 5) && count < 10 ? ` ${left} ${rest[1]}` : '';
  return `${seconds < 0 ? '-' : ''}${count} ${unit}${second}`;
}

/** A duration as a query writes it: `90s` -> `1m30s`. */
export function promDuration(seconds) {
  let left = Math.max(1, Math.round(seconds));
  let text = '';
  for (const [length, unit] of [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']]) {
    const count = Math.floor(left / length);
    if (count) text += count + unit;
    left -= count * length;
  }
  return text;
}

const pad = (value, width = 2) => String(value).padStart(width, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The parts of an instant (milliseconds), local or UTC. */
export function parts(ms, utc) {
  const date = new Date(ms);
  return utc
    ? { y: date.getUTCFullYear(), mo: date.getUTCMonth(), d: date.getUTCDate(), h: date.getUTCHours(), mi: date.getUTCMinutes(), s: date.getUTCSeconds(), ms: date.getUTCMilliseconds() }
    : { y: date.getFullYear(), mo: date.getMonth(), d: date.getDate(), h: date.getHours(), mi: date.getMinutes(), s: date.getSeconds(), ms: date.getMilliseconds() };
}

/** `20 Nov` */
export function day(ms, utc) {
  const p = parts(ms, utc);
  return `${p.d} ${MONTHS[p.mo]}`;
}

/** `10:51:07`, with milliseconds when asked. */
export function clock(ms, utc, millis = false) {
  const p = parts(ms, utc);
  return `${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}${millis ? '.' + pad(p.ms, 3) : ''}`;
}

export function zone(ms, utc) {
  if (utc) return 'UTC';
  const minutes = -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? '-' : '+'}${Math.floor(size / 60)}${size % 60 ? ':' + pad(size % 60) : ''}`;
}

/** `2026-11-20 10:51:07`, as it is typed and parsed again. */
export function stamp(ms, utc) {
  const p = parts(ms, utc);
  return `${p.y}-${pad(p.mo + 1)}-${pad(p.d)} ${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}`;
}

/** Relative under an hour, otherwise the clock with its zone (and the day when it is not today). */
export function when(ms, now, utc) {
  if (!isNumber(ms)) return ABSENT;
  const age = (now - ms) / 1000;
  if (age >= 0 && age < 3600) return age < 1.5 ? 'now' : `${duration(Math.floor(age)).replace(/ (\d+) s$/, '')} ago`;
  const today = day(ms, utc) === day(now, utc) && Math.abs(age) < 86400;
  const time = clock(ms, utc).slice(0, 5);
  return today ? `${time} ${zone(ms, utc)}` : `${day(ms, utc)} ${time} ${zone(ms, utc)}`;
}

/** Both ways of saying it, for hovering. */
export function both(ms, now, utc) {
  if (!isNumber(ms)) return ABSENT;
  const age = (now - ms) / 1000;
  const relative = age >= 0 ? `${duration(age)} ago` : `in ${duration(-age)}`;
  return `${stamp(ms, utc)} ${zone(ms, utc)} (${relative})`;
}

/** `1 container`, `148 containers`. */
export function plural(count, one, many = one + 's') {
  return `${number(count, 9)} ${count === 1 ? one : many}`;
}

/** The number in an alert's `value`, `"4.3e-01"`; null when it is none. */
export function toValue(text) {
  const value = Number(text);
  return text === undefined || text === null || text === '' || Number.isNaN(value) ? null : value;
}
