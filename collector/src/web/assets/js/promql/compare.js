// An alert's expression as what is measured and what it is measured against.

import { tokens } from './tokens.js';

const COMPARISONS = ['>', '<', '>=', '<=', '==', '!='];
const SETS = ['and', 'unless', 'or'];

/** `{left, op, value}` of `left > 0.25`; of `a > 1 and b` the first part; null when nothing is compared with a number. */
export function comparison(query) {
  const all = tokens(query).filter((token) => token.kind !== 'comment');
  const depths = [];
  let depth = 0;
  for (const token of all) {
    if (token.kind === 'bracket' && ')]}'.includes(token.text)) depth -= 1;
    depths.push(depth);
    if (token.kind === 'bracket' && '([{'.includes(token.text)) depth += 1;
  }
  const cut = all.findIndex((token, index) => depths[index] === 0 && token.kind === 'keyword' && SETS.includes(token.text.toLowerCase()));
  const part = cut < 0 ? all : all.slice(0, cut);
  const at = part.findIndex((token, index) => depths[index] === 0 && token.kind === 'operator' && COMPARISONS.includes(token.text));
  if (at < 0) return whole(part);
  const right = part.slice(at + 1).filter((token) => token.kind !== 'space' && token.text !== 'bool').map((token) => token.text).join('');
  const value = arithmetic(right);
  if (value === null) return null;
  return { left: part.slice(0, at).map((token) => token.text).join('').trim(), op: part[at].text, value };
}

/** The whole expression may stand in brackets. */
function whole(part) {
  const text = part.map((token) => token.text).join('').trim();
  const inside = /^\(([^]*)\)$/.exec(text);
  return inside && balanced(inside[1]) ? comparison(inside[1]) : null;
}

function balanced(text) {
  let depth = 0;
  for (const token of tokens(text)) {
    if (token.kind !== 'bracket') continue;
    depth += '([{'.includes(token.text) ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth === 0;
}

/** Numbers with the four operations and no brackets, `4*3600`; null when it is anything else. */
function arithmetic(text) {
  if (!/^[-+]?[\d.]+(e[-+]?\d+)?([-+*/][\d.]+(e[-+]?\d+)?)*$/i.test(text)) return null;
  const terms = text.match(/[-+]?[\d.]+(?:e[-+]?\d+)?(?:[*/][\d.]+(?:e[-+]?\d+)?)*/gi);
  return terms.reduce((sum, term) => {
    const factors = term.match(/[*/]?[-+]?[\d.]+(?:e[-+]?\d+)?/gi);
    return sum + factors.reduce((product, factor) => {
      if (factor[0] === '*') return product * Number(factor.slice(1));
      if (factor[0] === '/') return product / Number(factor.slice(1));
      return Number(factor);
    }, 1);
  }, 0);
}
