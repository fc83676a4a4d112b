// The search box of the logs: words, tags and levels, or LogQL; with completion of names and values.

import { labelValues } from '../../api.js';
import { editor } from '../../editor.js';
import { LEVELS, STREAM_LABELS } from '../../loki.js';
import { errorOffset } from '../../promql/tokens.js';

const NAMES = ['level', ...STREAM_LABELS, 'trace_id'];

export function searchBox({ run, signal }) {
  const field = editor({ label: 'Search the logs', placeholder: 'timeout -debug level:error service:shop "exact words" /reg.?ex/ or {LogQL}', colour, complete, run });
  field.element.classList.add('logsearch');
  field.element.querySelector('textarea').setAttribute('data-filter', '');
  signal.addEventListener('abort', field.destroy);
  return {
    element: field.element,
    set: field.set,
    fault(message) {
      const line = /line (\d+), col (\d+)/.exec(message);
      field.fault(line ? Number(line[2]) - 1 : errorOffset(message, field.value));
    },
  };
}

const PART = /(\s+)|(-?)([A-Za-z_][\w.]*:)("(?:[^"\\]|\\.)*"?|[^\s"]*)|("(?:[^"\\]|\\.)*"?)|(\/(?:[^/\\]|\\.)+\/)|(\S+)/g;

function colour(text) {
  const found = [];
  for (const match of text.matchAll(PART)) {
    const push = (kind, part, from) => { if (part) found.push({ kind, text: part, start: from, end: from + part.length }); };
    const at = match.index;
    if (match[3]) {
      push('operator', match[2], at);
      push('label', match[3], at + match[2].length);
      push('value', match[4], at + match[2].length + match[3].length);
    } else push(match[1] ? 'space' : match[5] || match[6] ? 'string' : 'other', match[0], at);
  }
  return found;
}

async function complete(text, cursor) {
  if (text.trim().startsWith('{')) return null;
  const before = text.slice(0, cursor);
  const word = /(?:^|\s)(-?)([\w.]*)$/.exec(before);
  if (word) {
    const from = cursor - word[2].length;
    if (!word[2]) return null;
    const options = NAMES.filter((name) => name.startsWith(word[2])).map((name) => ({ text: `${name}:`, kind: 'label', aside: '' }));
    return { from, to: cursor, options };
  }
  const value = /(?:^|\s)-?([A-Za-z_][\w.]*):([^\s"]*)$/.exec(before);
  if (!value) return null;
  const values = value[1] === 'level' ? LEVELS : STREAM_LABELS.includes(value[1]) ? await labelValues(value[1]) : [];
  const options = values.filter((one) => one.includes(value[2])).slice(0, 50).map((one) => ({ text: one, insert: `${/\s/.test(one) ? JSON.stringify(one) : one} `, kind: 'value', aside: '' }));
  if (options.length === 1 && options[0].text === value[2]) return null;
  // A value may be empty so far: from and to differ by the name, so that the menu opens after the colon.
  return { from: cursor - value[2].length, to: cursor, options };
}

