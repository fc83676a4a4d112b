// Time ranges: what is typed or stands in the URL, and the milliseconds it means.

import { clock, day, stamp, zone } from './format.js';

export const PRESETS = [
  ['now-5m', 'Last 5 minutes'], ['now-15m', 'Last 15 minutes'], ['now-30m', 'Last 30 minutes'], ['now-1h', 'Last 1 hour'],
  ['now-3h', 'Last 3 hours'], ['now-6h', 'Last 6 hours'], ['now-12h', 'Last 12 hours'], ['now-1d', 'Last 24 hours'],
  ['now-2d', 'Last 2 days'], ['now-7d', 'Last 7 days'], ['now-15d', 'Last 15 days'],
];
export const DEFAULT_FROM = 'now-30m';

const UNITS = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7, w: 6.048e8 };
const NICE_STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** Milliseconds of `90s`, `1h30m`, `500ms`; null when it is none. */
export function parseDuration(text) {
  if (!/^(\d+(ms|[smhdw]))+$/.test(text)) return null;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g)) sum += Number(count) * UNITS[unit];
  return sum;
}

/** An instant: `now`, `now-1h`, milliseconds or seconds since 1970, ISO, `2026-11-20 10:00[:00]`, `10:00`; null when it is none. */
export function parseInstant(text, now, utc) {
  const given = (text || '').trim();
  if (given === 'now') return now;
  const relative = /^now\s*([-+])\s*(\w+)$/.exec(given);
  if (relative) {
    const size = parseDuration(relative[2]);
    return size === null ? null : now + (relative[1] === '-' ? -size : size);
  }
  if (/^\d{9,10}(\.\d+)?$/.test(given)) return Math.round(Number(given) * 1000);
  if (/^\d{12,13}$/.test(given)) return Number(given);
  const plain = /^(?:(\d{4})-(\d\d?)-(\d\d?))?[ T]*(?:(\d\d?):(\d\d)(?::(\d\d))?)?$/.exec(given);
  if (plain && given) {
    const today = new Date(now);
    const date = plain[1]
      ? [Number(plain[1]), Number(plain[2]) - 1, Number(plain[3])]
      : utc ? [today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate()] : [today.getFullYear(), today.getMonth(), today.getDate()];
    const time = [plain[4], plain[5], plain[6]].map((part) => Number(part || 0));
    if (date[1] > 11 || date[2] < 1 || date[2] > 31 || time[0] > 23 || time[1] > 59 || time[2] > 59) return null;
    return utc ? Date.UTC(...date, ...time) : new Date(...date, ...time).getTime();
  }
  const parsed = Date.parse(given);
  return Number.isNaN(parsed) ? null : parsed;
}

/** What `from` and `to` of the URL mean now. A range that makes no sense becomes the default one. */
export function resolve(fromText, toText, now, utc) {
  let from = parseInstant(fromText, now, utc);
  let to = parseInstant(toText, now, utc);
  if (to === null) to = now;
  if (from === null || from >= to) from = parseInstant(DEFAULT_FROM, to, utc);
  return { from, to, relative: (toText || 'now') === 'now' && /^now-/.test(fromText || DEFAULT_FROM) };
}

/** What the time button says. */
export function describe(fromText, toText, range, utc) {
  if (range.relative) {
    const preset = PRESETS.find(([value]) => value === fromText);
    return preset ? preset[1] : `Last ${fromText.slice(4)}`;
  }
  const { from, to } = range;
  const short = (ms) => clock(ms, utc).replace(/:00$/, '');
  const sameDay = day(from, utc) === day(to, utc) && to - from < 8.64e7;
  return sameDay
    ? `${day(from, utc)} ${short(from)} – ${short(to)} ${zone(to, utc)}`
    : `${day(from, utc)} ${short(from)} – ${day(to, utc)} ${short(to)} ${zone(to, utc)}`;
}

/** The step in seconds for about one point every `pixels` of a chart; never below the scrape interval of a second. */
export function stepFor(range, width, pixels = 4) {
  const wanted = (range.to - range.from) / 1000 / Math.max(50, width / pixels);
  return NICE_STEPS.find((step) => step >= wanted) || Math.ceil(wanted / 86400) * 86400;
}

/** The window of a rate that never falls between two scrapes of ten seconds. */
export function rateWindow(step) {
  return Math.max(60, step * 2);
}

/** The range moved by half of itself, or twice as wide; as texts for the URL. */
export function moved(range, direction) {
  const half = (range.to - range.from) / 2;
  return absolute(range.from + direction * half, range.to + direction * half);
}

export function widened(range, now) {
  const half = (range.to - range.from) / 2;
  return absolute(range.from - half, Math.min(now, range.to + half));
}

export function absolute(from, to) {
  return { from: String(Math.round(from)), to: String(Math.round(to)) };
}

/** What stands in a field to be edited: the relative text as it is, an instant as a date. */
export function editable(text, ms, utc) {
  return /^now/.test(text) ? text : stamp(ms, utc);
}
