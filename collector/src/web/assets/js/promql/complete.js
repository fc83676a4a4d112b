// What may stand at the cursor: metrics with their help, functions, labels of the metric, values of the label.

import { get } from '../api.js';
import { quote } from '../scope.js';
import { AGGREGATIONS, contextAt } from './tokens.js';
import { AGGREGATION_HELP, DURATIONS, FUNCTIONS, WORDS } from './functions.js';

const LIMIT = 60;
let known = null;

/** Names of metrics with type and help; read once a minute. */
export async function metrics() {
  if (known && Date.now() - known.at < 60_000) return known.names;
  const [names, about] = await Promise.all([
    get('/prom/api/v1/label/__name__/values', { limit: 20_000 }), get('/prom/api/v1/metadata', { limit_per_metric: 1 }).catch(() => ({ data: {} })),
  ]);
  known = { at: Date.now(), names: names.data.map((name) => ({ name, ...describe(name, about.data) })) };
  return known.names;
}

/** Histograms and summaries are described under the name without its ending. */
function describe(name, about) {
  const found = about[name] || about[name.replace(/_(bucket|sum|count)$/, '')] || about[name.replace(/_total$/, '')];
  return found && found[0] ? { type: found[0].type, help: found[0].help } : { type: '', help: '' };
}

/** `{from, options: [{text, aside, help, kind, move}]}` for the cursor; `move` is where the cursor goes, from the end. */
export async function complete(text, cursor) {
  const context = contextAt(text, cursor);
  if (context.kind === 'none') return null;
  const options = await OPTIONS[context.kind](context);
  const word = context.word.toLowerCase();
  const ranked = options.map((option) => ({ option, rank: rank(option.text.toLowerCase(), word) })).filter((one) => one.rank > 0);
  ranked.sort((a, b) => b.rank - a.rank || a.option.text.length - b.option.text.length || (a.option.text < b.option.text ? -1 : 1));
  const list = ranked.slice(0, LIMIT).map((one) => one.option);
  if (list.length === 1 && list[0].text === context.word) return null;
  return { from: context.from, to: cursor, options: list };
}

/** Begins with the word, a part begins with it, contains it, or has its letters in order. */
function rank(text, word) {
  if (!word) return 1;
  if (text.startsWith(word)) return 5;
  if (text.split(/[_:]/).some((part) => part.startsWith(word))) return 4;
  if (text.includes(word)) return 3;
  const parts = word.split(/[_\s]+/).filter(Boolean);
  if (parts.length > 1 && parts.every((part) => text.includes(part))) return 2;
  return 0;
}

const OPTIONS = {
  async name({ word }) {
    const names = await metrics().catch(() => []);
    const call = (text, aside, help) => ({ text, insert: `${text}(`, aside, help, kind: 'function' });
    return [
      ...names.map(({ name, type, help }) => ({ text: name, aside: type, help, kind: 'metric' })),
      ...(word ? [
        ...AGGREGATIONS.map((name) => call(name, 'aggregation', AGGREGATION_HELP[name])),
        ...Object.entries(FUNCTIONS).map(([name, [form, help]]) => call(name, 'function', `${form}: ${help}`)),
        ...Object.entries(WORDS).map(([name, help]) => ({ text: name, aside: 'keyword', help, kind: 'keyword' })),
      ] : []),
    ];
  },
  async label({ metric }) {
    const { data } = await get('/prom/api/v1/labels', metric ? { 'match[]': `{__name__=${quote(metric)}}` } : {});
    return data.filter((name) => name !== '__name__').map((name) => ({ text: name, kind: 'label', aside: '' }));
  },
  async value({ label, metric }) {
    const { data } = await get(`/prom/api/v1/label/${encodeURIComponent(label)}/values`, { limit: 1000, ...(metric ? { 'match[]': `{__name__=${quote(metric)}}` } : {}) });
    return data.map((value) => ({ text: value, insert: quote(value).slice(1, -1), kind: 'value', aside: '' }));
  },
  async duration() {
    return DURATIONS.map((text) => ({ text, kind: 'duration', aside: '' }));
  },
};
