// The side panel: what a line of a list opens into. It stands in the URL as `panel=…`, so back closes it and a link opens it.

import { h, fill } from './dom.js';
import { icon } from './icons.js';
import { patch, view } from './router.js';

/**
 * Keeps a panel in step with the URL. `draw(id, place)` fills it: `place.title` and `place.body` are elements,
 * `place.signal` ends when the panel closes or shows something else. `order()` gives the ids for ↑ and ↓.
 */
export function panelHost(ctx, { draw, order }) {
  let shown = '';
  let element = null;
  let ending = null;

  function close() {
    patch({ panel: null, tab: null });
  }

  function remove() {
    if (ending) ending.abort();
    ending = null;
    shown = '';
    if (element) element.remove();
    element = null;
  }

  function sync() {
    const wanted = view().panel;
    if (wanted === shown) return;
    if (!wanted) return remove();
    if (ending) ending.abort();
    ending = new AbortController();
    shown = wanted;
    if (!element) {
      element = h('aside', { class: 'panel', 'aria-label': 'details' });
      ctx.main.append(element);
    }
    const title = h('div', { class: 'title' });
    const actions = h('div', { class: 'group' });
    const body = h('div', { class: 'body' });
    fill(element,
      h('header', {}, title, actions, h('button', { class: 'btn plain icon', title: 'Close (Esc)', 'aria-label': 'Close', onclick: close }, icon('close'))),
      body);
    draw(wanted, { title, actions, body, signal: AbortSignal.any([ctx.signal, ending.signal]), panel: element });
  }

  ctx.signal.addEventListener('abort', remove);

  return {
    sync,
    close,
    get id() { return shown; },
    /** Opens an id, or closes it when it is open. */
    toggle: (id) => patch({ panel: id === shown ? null : id }, { replace: shown !== '' && id !== shown }),
    /** Esc, ↑ and ↓; true when the key was used. */
    key(event) {
      if (event.key === 'Escape' && shown) { close(); return true; }
      const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
      if (!step || !order) return false;
      const ids = order();
      if (ids.length === 0) return false;
      const at = ids.indexOf(shown);
      const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.max(0, Math.min(ids.length - 1, at + step));
      if (ids[next] !== shown) patch({ panel: ids[next] }, { replace: shown !== '' });
      return true;
    },
  };
}
