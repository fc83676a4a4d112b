// The unit of a query, guessed from the names of its metrics as the naming convention has them.

import { tokens } from '../../promql/tokens.js';

/** The kind for format.js; '' when the queries disagree or say nothing. */
export function kindOf(queries) {
  const kinds = new Set(queries.map(one));
  return kinds.size === 1 ? [...kinds][0] : '';
}

const COUNTING = ['count', 'changes', 'resets', 'count_over_time', 'count_values', 'absent', 'group'];

function one(query) {
  const all = tokens(query).filter((token) => token.kind !== 'space');
  const names = all.filter((token) => token.kind === 'metric').map((token) => token.text);
  const calls = all.filter((token) => token.kind === 'function' || token.kind === 'aggregation').map((token) => token.text.toLowerCase());
  if (names.length === 0) return '';
  if (calls.some((call) => COUNTING.includes(call))) return 'count';
  const rated = calls.some((call) => ['rate', 'irate', 'deriv'].includes(call));
  const bases = new Set(names.map((name) => base(name)));
  const divided = all.some((token) => token.text === '/');
  if (divided) return bases.size === 1 && names.length > 1 ? 'ratio' : '';
  if (all.some((token) => ['*', '%', '^'].includes(token.text))) return '';
  if (bases.size !== 1) return '';
  const [unit] = bases;
  if (unit === 'bytes') return rated ? 'bytes/s' : 'bytes';
  // Seconds of CPU a second are cores; seconds of waiting a second are a share of time.
  if (unit === 'seconds') return rated ? (names.every((name) => /cpu_(usage|user|system)?_?seconds|cpu_seconds/.test(name)) ? 'cores' : 'ratio') : 'seconds';
  if (unit === 'ratio') return 'ratio';
  return rated ? '/s' : 'count';
}

function base(name) {
  const plain = name.replace(/_(total|sum|count|bucket|info)$/, '');
  if (/_bytes$/.test(plain)) return 'bytes';
  if (/_seconds$/.test(plain)) return /_count$/.test(name) ? 'count' : 'seconds';
  if (/_ratio$|:ratio$/.test(plain)) return 'ratio';
  return 'count';
}
