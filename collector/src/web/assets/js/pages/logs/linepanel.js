// One line with all it carries: fields to filter by, what stands around it, its trace.

import { h, fill } from '../../dom.js';
import { icon } from '../../icons.js';
import { readLines, selector } from '../../loki.js';
import { logList, plain } from '../../loglist.js';
import { copyButton, loader, stateWord } from '../../states.js';
import { both, stamp, zone } from '../../format.js';
import { href, view } from '../../router.js';
import { matchers } from '../../scope.js';
import { STREAM_LABELS } from '../../loki.js';

const AROUND = 12;
const NANOSECONDS_AROUND = 3_600_000_000_000n;

export function linePanel(key, line, place, { filter }) {
  if (!line) {
    fill(place.title, h('h2', {}, 'This line is not among those shown'));
    fill(place.body, h('p', { class: 'soft' }, 'The search or the time range has changed since the link was made.'));
    return;
  }
  const utc = view().utc;
  fill(place.title, h('h2', { class: 'num', title: both(line.ms, Date.now(), utc) }, `${stamp(line.ms, utc)}.${line.time.slice(-9)} ${zone(line.ms, utc)}`),
    h('div', { class: 'soft' }, stateWord(line.level, { error: 'critical', fatal: 'critical', warn: 'warning', unknown: 'unknown' }[line.level] || 'ok'), ' ', [line.labels.service, line.labels.container].filter((one, index, all) => one && all.indexOf(one) === index).join(' · ')));
  const parsed = parse(line.text);
  const trace = line.fields.trace_id;
  fill(place.body,
    h('section', {}, h('h3', {}, 'Line', h('span', { class: 'more' }, copyButton(line.text, 'Copy the line'))), h('pre', { class: 'wholeline' }, plain(line.text) || ' ')),
    trace && h('section', {}, h('h3', {}, 'Trace'), h('div', { class: 'group' }, h('a', { class: 'btn', href: href('logs', { q: `trace_id:${trace}` }) }, 'Lines of this trace', h('kbd', {}, 't')), copyButton(trace, 'Copy the trace id')), ' ', h('code', { class: 'dim' }, trace)),
    parsed && h('section', {}, h('h3', {}, 'Read from the line'), fieldTable(Object.entries(parsed), (name, value) => [
      button('plus', `Only lines with ${value}`, () => filter('', String(value), false)), button('minus', `Without ${value}`, () => filter('', String(value), true))])),
    h('section', {}, h('h3', {}, 'Tags and fields'), fieldTable([...Object.entries(line.labels), ['level', line.level], ...Object.entries(line.fields)], (name, value) => [
      button('plus', `Only ${name}:${value}`, () => filter(name, value, false)), button('minus', `Without ${name}:${value}`, () => filter(name, value, true))])),
    around(line, place.signal));
}

function button(name, label, run) {
  return h('button', { class: 'btn plain icon', title: label, 'aria-label': label, onclick: run }, icon(name, 12));
}

function fieldTable(pairs, actions) {
  return h('div', { class: 'fieldtable' }, pairs.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return h('div', { class: 'fieldrow' }, h('span', { class: 'dim cut', title: name }, name), h('span', { class: 'mono value' }, text), h('span', { class: 'group' }, actions(name, text), copyButton(text)));
  }));
}

/** Fields of a JSON object or of logfmt; null when the line is neither. */
export function parse(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) {
    try {
      return flatten(JSON.parse(trimmed), '', {});
    } catch {
      return null;
    }
  }
  const pairs = [...trimmed.matchAll(/(?:^|\s)([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)/g)];
  if (pairs.length < 2) return null;
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value]));
}

function flatten(value, path, into) {
  for (const [name, inner] of Object.entries(value)) {
    const at = path ? `${path}.${name}` : name;
    if (inner !== null && typeof inner === 'object' && !Array.isArray(inner)) flatten(inner, at, into);
    else into[at] = inner;
  }
  return into;
}

/** What the same stream wrote before and after, whatever is searched for. */
function around(line, signal) {
  const body = h('div');
  const size = { lines: AROUND };
  const more = h('button', { class: 'btn plain' }, 'More');
  const section = h('section', {}, h('h3', {}, 'Around it', h('span', { class: 'more' }, more)), body);
  const chips = Object.entries(line.labels).filter(([name]) => STREAM_LABELS.includes(name) && name !== 'stream').map(([name, value]) => ({ name, value }));
  const at = BigInt(line.time);
  const read = loader(body, {
    what: 'the lines around it', signal, lines: 6,
    async ask(ended) {
      const query = selector(matchers(chips));
      const [before, after] = await Promise.all([
        readLines(query, { from: String(at - NANOSECONDS_AROUND), to: String(at), limit: size.lines, direction: 'backward', signal: ended }),
        readLines(query, { from: String(at), to: String(at + NANOSECONDS_AROUND), limit: size.lines + 1, direction: 'forward', signal: ended }),
      ]);
      return [...before.lines, ...after.lines];
    },
    show(lines, into) {
      const here = lines.find((one) => one.time === line.time && one.text === line.text);
      logList(into, lines, { here });
    },
  });
  more.addEventListener('click', () => { size.lines *= 4; read(); });
  read();
  return section;
}
