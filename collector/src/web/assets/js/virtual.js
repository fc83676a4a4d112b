// A long list of rows of one height inside something that scrolls: only what can be seen is in the page.

import { framed } from './dom.js';

const SPARE = 6;

/**
 * `space` holds the rows, `scroller` scrolls it, `draw(item, element, index)` fills an element (kept for its item as long
 * as it is seen), `make()` gives an empty one. Returns `{set(items, height), redraw(), show(index), destroy()}`.
 */
export function virtual({ space, scroller, make, draw, keyOf }) {
  let items = [];
  let height = 28;
  let used = new Map();
  const pool = [];

  function window_() {
    const top = space.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - SPARE);
    const last = Math.min(items.length, Math.ceil((scroller.clientHeight - top) / height) + SPARE);
    return [first, Math.max(first, last)];
  }

  function place(all) {
    const [first, last] = window_();
    const next = new Map();
    for (let index = first; index < last; index += 1) next.set(keyOf(items[index], index), index);
    for (const [key, row] of used) {
      if (!next.has(key)) {
        row.remove();
        pool.push(row);
        used.delete(key);
      }
    }
    const kept = new Map();
    for (const [key, index] of next) {
      let row = used.get(key);
      const fresh = !row;
      if (fresh) row = pool.pop() || make();
      if (fresh || all) draw(items[index], row, index);
      const y = `translateY(${index * height}px)`;
      if (row.style.transform !== y) row.style.transform = y;
      row.setAttribute('aria-rowindex', String(index + 1));
      if (fresh) space.append(row);
      kept.set(key, row);
    }
    used = kept;
  }

  const onScroll = framed(() => place(false));
  scroller.addEventListener('scroll', onScroll, { passive: true });
  const sizes = new ResizeObserver(onScroll);
  sizes.observe(scroller);
  return {
    set(next, rowHeight = height) {
      items = next;
      height = rowHeight;
      space.style.height = `${items.length * height}px`;
      place(true);
    },
    redraw: () => place(true),
    /** Scrolls a row into sight. `margin` is what covers the top (a sticky head). */
    show(index, margin = 32) {
      const top = space.getBoundingClientRect().top - scroller.getBoundingClientRect().top + index * height;
      if (top < margin) scroller.scrollTop += top - margin;
      else if (top + height > scroller.clientHeight) scroller.scrollTop += top + height - scroller.clientHeight + 4;
    },
    visible: () => [...used.keys()],
    destroy() {
      scroller.removeEventListener('scroll', onScroll);
      sizes.disconnect();
    },
  };
}
