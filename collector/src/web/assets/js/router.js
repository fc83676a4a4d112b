// The URL is the state: what is seen is read from it, and whatever changes it goes through `patch` or `go`.

import { DEFAULT_FROM, resolve } from './time.js';
import { parseScope } from './scope.js';

export const PAGES = ['home', 'metrics', 'logs', 'alerts', 'checks', 'agents'];
/** These stay when another page is opened; everything else belongs to a page. */
const SHARED = ['from', 'to', 'tz', 'scope', 'live'];

const listeners = new Set();
let current = null;

/** What the URL says, with the time range resolved against the clock. */
export function view() {
  if (!current) current = read();
  return current;
}

export function onView(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read() {
  const url = new URL(location.href);
  const params = url.searchParams;
  let page = url.pathname === '/' ? 'home' : url.pathname.replace(/^\/ui\//, '');
  if (url.pathname === '/graph') {
    // Prometheus' own links to an expression, as they stand in notifications of alerts.
    page = 'metrics';
    if (params.has('g0.expr')) params.set('q', params.get('g0.expr'));
  }
  const fromText = params.get('from') || DEFAULT_FROM;
  const toText = params.get('to') || 'now';
  const utc = params.get('tz') === 'utc';
  const range = resolve(fromText, toText, Date.now(), utc);
  return {
    page, params, fromText, toText, utc, ...range,
    live: range.relative && params.get('live') !== 'off',
    scope: parseScope(params.get('scope') || ''),
    panel: params.get('panel') || '',
    known: PAGES.includes(page),
  };
}

/** Reads the clock again; for a relative range that makes the range move on. */
export function refresh() {
  current = read();
  return current;
}

export function path(page, params) {
  const base = page === 'home' ? '/' : `/ui/${page}`;
  // Spaces, colons and commas are legal in a query and far easier to read in a link than %3A.
  const query = String(params).replace(/%3A/gi, ':').replace(/%2C/gi, ',').replace(/%2F/gi, '/');
  return query ? `${base}?${query}` : base;
}

/** The address of a page that keeps scope and time, with `changes` to its parameters. */
export function href(page, changes = {}) {
  const params = new URLSearchParams();
  for (const name of SHARED) for (const value of view().params.getAll(name)) params.append(name, value);
  apply(params, changes);
  return path(page, params);
}

export function go(page, changes = {}) {
  history.pushState(null, '', href(page, changes));
  changed();
}

/** Changes parameters of this page; `null` or '' removes one. `replace` for what is not worth a step back. */
export function patch(changes, { replace = false } = {}) {
  const params = new URLSearchParams(view().params);
  for (const name of [...params.keys()]) if (name.startsWith('g0.')) params.delete(name);
  apply(params, changes);
  const address = path(view().page, params);
  if (address === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  changed();
}

function apply(params, changes) {
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== '') params.append(name, one);
    }
  }
}

function changed() {
  const before = current;
  current = read();
  for (const listener of [...listeners]) listener(current, before);
}

/** This view as a link that shows the same for ever: the time made absolute. */
export function permalink() {
  const { params, from, to, page } = refresh();
  const fixed = new URLSearchParams(params);
  fixed.set('from', String(Math.round(from)));
  fixed.set('to', String(Math.round(to)));
  fixed.delete('live');
  return location.origin + path(page, fixed);
}

export function startRouter() {
  addEventListener('popstate', changed);
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[href]');
    if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !(url.pathname === '/' || url.pathname.startsWith('/ui/'))) return;
    event.preventDefault();
    if (url.href === location.href) return;
    history.pushState(null, '', url.pathname + url.search);
    changed();
  });
}
