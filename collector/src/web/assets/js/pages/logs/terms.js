// Terms of the search box: adding and taking out what facets and fields say, and what to mark in the lines.

import { words } from '../../loki.js';
import { quote } from '../../scope.js';

const write = ({ name, value, negate }) => `${negate ? '-' : ''}${name ? `${name}:` : ''}${/[\s"]/.test(value) || (!name && /^[-/{]|:/.test(value)) ? quote(value) : value}`;

/** The search with a term put in; the same term once more takes it out, its opposite replaces it. */
export function withTerm(text, term) {
  if (text.trim().startsWith('{')) return withMatcher(text, term);
  const parts = words(text);
  const same = (one) => one.name === term.name && one.value === term.value && !one.regex;
  const there = parts.some((one) => same(one) && one.negate === !!term.negate);
  const rest = parts.filter((one) => !same(one));
  const all = there ? rest : [...rest, { ...term, negate: !!term.negate }];
  return all.map((one) => (one.regex ? `${one.negate ? '-' : ''}/${one.value.replace(/\//g, '\\/')}/` : write(one))).join(' ');
}

/** Whether the search has the term: 1 included, -1 excluded, 0 not. */
export function hasTerm(text, { name, value }) {
  const found = words(text).find((one) => one.name === name && one.value === value);
  return found ? (found.negate ? -1 : 1) : 0;
}

/** LogQL written by hand: labels go into the selector, everything else behind it. */
function withMatcher(text, { name, value, negate }) {
  const close = text.indexOf('}');
  if (!name) return `${text} ${negate ? '!=' : '|='} ${quote(value)}`;
  if (close < 0) return text;
  const inside = text.slice(1, close).trim();
  return `{${[inside, `${name}${negate ? '!=' : '='}${quote(value)}`].filter(Boolean).join(', ')}${text.slice(close)}`;
}

/** What to mark in the lines: one expression of all words that must be there; null without any. */
export function highlights(text) {
  const found = text.trim().startsWith('{')
    ? [...text.matchAll(/\|[=~]\s*"((?:[^"\\]|\\.)*)"/g)].map(([all, value]) => (all[1] === '~' ? value : escape(value)))
    : words(text).filter((one) => !one.name && !one.negate).map((one) => (one.regex ? one.value : escape(one.value)));
  if (found.length === 0) return null;
  try {
    return new RegExp(found.map((one) => `(?:${one.replace(/^\(\?i\)/, '')})`).join('|'), 'gi');
  } catch {
    // Go's expressions and the browser's differ a little; then nothing is marked.
    return null;
  }
}

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
