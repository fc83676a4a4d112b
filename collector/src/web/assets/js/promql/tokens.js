// PromQL as a row of tokens: for colours, for completion, and for putting the scope into selectors. Not a parser: the
// collector judges; here a half-typed query must make sense too.

export const AGGREGATIONS = ['sum', 'avg', 'min', 'max', 'count', 'group', 'stddev', 'stdvar', 'topk', 'bottomk', 'quantile', 'count_values', 'limitk', 'limit_ratio'];
const LABEL_LISTS = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'];
const KEYWORDS = [...LABEL_LISTS, 'bool', 'and', 'or', 'unless', 'offset', 'atan2', 'start', 'end', 'inf', 'nan'];

const PATTERNS = [
  ['space', /\s+/y], ['comment', /#[^\n]*/y],
  ['string', /"(?:[^"\\\n]|\\.)*("|$)|'(?:[^'\\\n]|\\.)*('|$)|`[^`]*(`|$)/y],
  ['duration', /(?:\d+(?:ms|[smhdwy]))+(?![\w:])/y],
  ['number', /0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['name', /[A-Za-z_:][\w:]*/y],
  ['operator', /=~|!~|!=|==|<=|>=|[-+*/%^<>=@]/y],
  ['bracket', /[()[\]{}]/y], ['comma', /[,:]/y], ['other', /[^]/y],
];

/** `[{kind, text, start, end}]`; names are told apart as metric, function, aggregation, keyword and label. */
export function tokens(text) {
  const found = [];
  let at = 0;
  const open = [];
  let expectLabels = false;
  while (at < text.length) {
    let kind = '';
    let value = '';
    for (const [name, pattern] of PATTERNS) {
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match) { kind = name; value = match[0]; break; }
    }
    const inside = open[open.length - 1];
    if (kind === 'name') kind = nameKind(value, inside, text.slice(at + value.length));
    if (kind === 'bracket') {
      if ('({['.includes(value)) open.push(value === '(' && expectLabels ? 'labels' : value);
      else open.pop();
    }
    if (kind !== 'space' && kind !== 'comment') expectLabels = kind === 'keyword' && LABEL_LISTS.includes(value.toLowerCase());
    found.push({ kind, text: value, start: at, end: at + value.length, inside });
    at += value.length;
  }
  return found;
}

function nameKind(value, inside, after) {
  if (inside === '{') return /^\s*(=|!|,|\}|$)/.test(after) ? 'label' : 'metric';
  if (inside === 'labels') return 'label';
  const lower = value.toLowerCase();
  if (AGGREGATIONS.includes(lower) && /^\s*(\(|by\b|without\b|$)/.test(after)) return 'aggregation';
  if (KEYWORDS.includes(lower)) return 'keyword';
  if (/^\s*\(/.test(after)) return 'function';
  return 'metric';
}

/** The query with matchers put into each of its selectors; a selector that names the label itself keeps its own. */
export function withScope(query, chips, write) {
  if (chips.length === 0) return query;
  const all = tokens(query);
  let result = '';
  let index = 0;
  const emit = (token) => { result += token.text; };
  while (index < all.length) {
    const token = all[index];
    const next = all.slice(index + 1).find((one) => one.kind !== 'space');
    if (token.kind === 'metric' && token.inside !== '{' && !(next && next.text === '{')) {
      emit(token);
      result += `{${write(chips).join(', ')}}`;
      index += 1;
      continue;
    }
    if (token.text === '{' && token.kind === 'bracket') {
      const close = all.findIndex((one, place) => place > index && one.text === '}' && one.kind === 'bracket');
      const end = close < 0 ? all.length : close;
      const inside = all.slice(index + 1, end);
      const named = new Set(inside.filter((one) => one.kind === 'label').map((one) => one.text));
      const added = write(chips.filter((chip) => !named.has(chip.name)));
      const text = inside.map((one) => one.text).join('').trim().replace(/,$/, '');
      result += `{${[text, ...added].filter(Boolean).join(', ')}${close < 0 ? '' : '}'}`;
      index = close < 0 ? all.length : close + 1;
      continue;
    }
    emit(token);
    index += 1;
  }
  return result;
}

/**
 * What is being typed at `cursor`: `{kind: 'name'|'label'|'value'|'duration'|'none', from, word, metric, label}`; `from` is where the
 * word begins.
 */
export function contextAt(text, cursor) {
  const before = tokens(text.slice(0, cursor));
  const last = before[before.length - 1];
  const typing = last && last.end === cursor && ['metric', 'function', 'aggregation', 'keyword', 'label', 'name'].includes(last.kind) ? last : null;
  const solid = before.filter((one) => one.kind !== 'space' && one !== typing);
  const previous = solid[solid.length - 1];
  const depth = [];
  for (const one of before) {
    if (one.kind !== 'bracket') continue;
    if ('({['.includes(one.text)) depth.push(one);
    else depth.pop();
  }
  const inside = depth[depth.length - 1];
  if (last && last.kind === 'comment') return { kind: 'none' };
  if (last && last.kind === 'string' && !closed(last.text)) {
    const label = labelBefore(solid, last);
    if (!label) return { kind: 'none' };
    return { kind: 'value', from: last.start + 1, word: last.text.slice(1), label, metric: metricBefore(before, inside) };
  }
  if (last && (last.kind === 'string' || last.kind === 'number' || last.kind === 'duration')) return { kind: 'none' };
  const word = typing ? typing.text : '';
  const from = typing ? typing.start : cursor;
  if (inside && inside.text === '[') return { kind: 'duration', from, word };
  if (inside && inside.text === '{') {
    if (previous && previous.kind === 'operator') return { kind: 'none' };
    return { kind: 'label', from, word, metric: metricBefore(before, inside) };
  }
  if (inside && inside.text === '(' && isLabelList(before, inside)) return { kind: 'label', from, word, metric: firstMetric(text) };
  return { kind: 'name', from, word };
}

const closed = (text) => text.length > 1 && text[text.length - 1] === text[0];

function labelBefore(solid, token) {
  const at = solid.indexOf(token);
  const operator = solid[at - 1];
  const label = solid[at - 2];
  return operator && operator.kind === 'operator' && label && label.kind === 'label' ? label.text : '';
}

function metricBefore(all, bracket) {
  if (!bracket) return '';
  const before = all.filter((one) => one.end <= bracket.start && one.kind !== 'space');
  const last = before[before.length - 1];
  return last && last.kind === 'metric' ? last.text : '';
}

function isLabelList(all, bracket) {
  const before = all.filter((one) => one.end <= bracket.start && one.kind !== 'space');
  const last = before[before.length - 1];
  return !!last && last.kind === 'keyword' && LABEL_LISTS.includes(last.text.toLowerCase());
}

function firstMetric(text) {
  const metric = tokens(text).find((one) => one.kind === 'metric');
  return metric ? metric.text : '';
}

/** Where an error says it is: `1:7: parse error: …` as an offset into the text; -1 when it does not say. */
export function errorOffset(message, text) {
  const found = /(?:^|[\s"])(\d+):(\d+): parse error/.exec(message);
  if (!found) return -1;
  const lines = text.split('\n');
  let offset = 0;
  for (let index = 0; index < Number(found[1]) - 1 && index < lines.length; index += 1) offset += lines[index].length + 1;
  return Math.min(text.length, offset + Number(found[2]) - 1);
}
