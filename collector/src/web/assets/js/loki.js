// Reading logs: queries in Loki's language, lines with their labels and fields, counts by level.

import { get } from './api.js';
import { matchers, quote } from './scope.js';

// Labels of the stream, fields of the record and what a parser found come apart only when asked for so.
const HEADERS = { 'x-loki-response-encoding-flags': 'categorize-labels' };
export const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'unknown'];
const WORDS = { critical: 'fatal', panic: 'fatal', err: 'error', warning: 'warn', notice: 'info', information: 'info', '': 'unknown' };

export function levelWord(text) {
  const word = (text || '').toLowerCase();
  return LEVELS.includes(word) ? word : WORDS[word] || 'unknown';
}

/** Nanoseconds since 1970 as text, from milliseconds. */
export function nanos(ms) {
  return `${Math.round(ms)}000000`;
}

/** A selector from matchers; Loki wants at least one that is not empty. */
export function selector(list) {
  return `{${list.length ? list.join(', ') : 'service=~".+"'}}`;
}

/** Lines of a query, oldest first: `{lines, full}`; `full` when there may be more than `limit`. */
export async function readLines(query, { from, to, limit = 1000, direction = 'backward', signal }) {
  const answer = await get('/loki/api/v1/query_range', {
    query, start: typeof from === 'string' ? from : nanos(from), end: typeof to === 'string' ? to : nanos(to), limit, direction,
  }, { signal, headers: HEADERS });
  const lines = answer.data.result.flatMap(({ stream, values }) => values.map((value) => line(stream, value)));
  lines.sort(byTime);
  return { lines, full: lines.length >= limit };
}

function line(labels, [time, text, extra]) {
  return record({ time, text, labels, fields: { ...((extra && extra.structuredMetadata) || {}), ...((extra && extra.parsed) || {}) } });
}

/** A line as the pages know it. Labels and fields that only say again what others say are for Grafana. */
export function record({ time, text, labels, fields }) {
  const { service_name: twin, ...own } = labels;
  const { detected_level: detected, ...rest } = fields;
  return { time, ms: Number(time.slice(0, -6)), text, labels: own.service || !twin ? own : { ...own, service: twin }, fields: rest, level: levelWord(detected || rest.level), key: '' };
}

/** Nanoseconds do not fit a number, so times are compared as texts of one length. */
function byTime(a, b) {
  if (a.time.length !== b.time.length) return a.time.length - b.time.length;
  return a.time < b.time ? -1 : a.time > b.time ? 1 : 0;
}

/** A metric query over logs, on its grid: `{result, start, end, step}`. */
export async function countLines(query, { from, to, step, signal }) {
  const start = Math.floor(from / 1000 / step) * step;
  const end = Math.ceil(to / 1000 / step) * step;
  const answer = await get('/loki/api/v1/query_range', { query, start: nanos(start * 1000), end: nanos(end * 1000), step: `${step * 1000}ms` }, { signal });
  return { result: answer.data.result, start, end, step };
}

/** A metric query at one instant: `[{metric, value}]`. */
export async function countNow(query, { at, signal }) {
  const answer = await get('/loki/api/v1/query', { query, time: nanos(at) }, { signal });
  return answer.data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
}

/** Words of the search box as a query: `{query, selector, error}`.
 *
 * `refused "no route" -debug level:error service:shop /time.?out/` – words must all be in the line, `-` negates, a name
 * before a colon is a label or field, slashes hold a regular expression. A text that starts with `{` is LogQL as it is.
 */
export function compile(text, scope) {
  const given = text.trim();
  if (given.startsWith('{')) return { query: withMatchers(given, matchers(scope)), raw: true };
  const labels = [...scope];
  const filters = [];
  const fields = [];
  for (const part of words(given)) {
    if (part.name && STREAM_LABELS.includes(part.name)) labels.push({ name: part.name, value: part.value, negate: part.negate });
    else if (part.name) fields.push(fieldFilter(part));
    else if (part.regex) filters.push(`${part.negate ? '!~' : '|~'} ${quote(part.value)}`);
    // Case is not looked at, as people expect of a search; capitals in the search say that it matters.
    else if (/[A-Z]/.test(part.value) || !/[a-z]/i.test(part.value)) filters.push(`${part.negate ? '!=' : '|='} ${quote(part.value)}`);
    else filters.push(`${part.negate ? '!~' : '|~'} ${quote(`(?i)${part.value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`)}`);
  }
  const found = selector(matchers(labels));
  return { query: [found, ...filters, ...merged(fields)].join(' '), raw: false };
}

export const STREAM_LABELS = ['service', 'env', 'role', 'source', 'container', 'pod', 'namespace', 'node', 'cluster', 'stream'];

/** Several values of one field are alternatives. */
function merged(fields) {
  const byName = new Map();
  for (const one of fields) {
    const key = one.name + one.op;
    byName.set(key, [...(byName.get(key) || []), one]);
  }
  return [...byName.values()].map((same) => {
    if (same.length === 1) return `| ${same[0].name}${same[0].op}${quote(same[0].value)}`;
    const values = same.map((one) => one.value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
    return `| ${same[0].name}${same[0].op === '!=' ? '!~' : '=~'}${quote(values)}`;
  });
}

/** The level that was found in a record has Loki's name there; people say `level`. */
function fieldFilter({ name, value, negate }) {
  return { name: name === 'level' ? 'detected_level' : name, value, op: negate ? '!=' : '=' };
}

/** The parts of what was typed. */
export function words(text) {
  const found = [];
  const pattern = /(-?)(?:([A-Za-z_][\w.]*):(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))|"((?:[^"\\]|\\.)*)"|\/((?:[^/\\]|\\.)+)\/|(\S+))/g;
  for (const [, minus, name, quotedValue, value, phrase, regex, word] of text.matchAll(pattern)) {
    const plain = (one) => one.replace(/\\(["\\])/g, '$1');
    const negate = minus === '-';
    if (name) found.push({ name, value: quotedValue === undefined ? value : plain(quotedValue), negate });
    else if (phrase !== undefined) found.push({ value: plain(phrase), negate });
    else if (regex !== undefined) found.push({ value: regex.replace(/\\\//g, '/'), regex: true, negate });
    else if (word) found.push({ value: word, negate });
  }
  return found.filter((one) => one.value);
}

/** The scope's matchers put into a selector that was written by hand. */
function withMatchers(query, list) {
  if (list.length === 0) return query;
  const close = query.indexOf('}');
  if (close < 0) return query;
  const inside = query.slice(1, close).trim();
  return `{${[inside, ...list].filter(Boolean).join(', ')}${query.slice(close)}`;
}
