// A sortable table whose columns give way by priority when the room is narrow, and whose rows are virtual.

import { h, fill, framed } from './dom.js';
import { icon } from './icons.js';
import { virtual } from './virtual.js';

/**
 * `columns`: `{key, label, value(row), cell(row), min, grow, right, priority, first, unit()}`; `value` sorts (null last),
 * `cell` gives nodes, `min` pixels, `grow` its share of what is left, `first` the direction of the first click.
 * `group(row)` with `groupLine(name, rows)` puts headings between. Returns `{set, sort, order, select, destroy}`.
 */
export function table(host, { columns, scroller, keyOf, open, onSort, label, rowHeight = () => 28, group, groupLine }) {
  const head = h('div', { class: 'headrow', role: 'row' });
  const space = h('div', { class: 'rows', role: 'rowgroup' });
  const root = h('div', { class: 'table', role: 'table', 'aria-label': label }, head, space);
  host.append(root);
  let rows = [];
  let shown = [];
  let sorting = null;
  let selected = '';
  let visible = columns;

  const list = virtual({
    space, scroller, keyOf: (item) => (item.heading === undefined ? keyOf(item.row) : ` ${item.heading}`),
    make: () => h('div', { class: 'tr', role: 'row', onclick: click }),
    draw: (item, element) => {
      if (item.heading !== undefined) {
        element.className = 'tr groupline';
        element.removeAttribute('aria-selected');
        element.dataset.key = '';
        fill(element, h('div', { role: 'cell', style: { gridColumn: '1 / -1' } }, groupLine(item.heading, item.rows)));
        return;
      }
      const key = keyOf(item.row);
      element.className = `tr ${open ? 'link' : ''}`;
      element.dataset.key = key;
      element.setAttribute('aria-selected', String(key === selected));
      fill(element, visible.map((column) => h('div', { class: column.right ? 'right' : '', role: 'cell' }, column.cell(item.row))));
      for (const column of visible) if (column.after) column.after(item.row, element);
    },
  });

  function click(event) {
    const key = event.currentTarget.dataset.key;
    if (!key || event.target.closest('a, button') || String(getSelection())) return;
    open(key);
  }

  function fit() {
    const room = root.clientWidth - 24;
    const wanted = [...columns].filter((column) => !column.when || column.when()).sort((a, b) => (a.priority || 0) - (b.priority || 0));
    const kept = new Set();
    let used = 0;
    for (const column of wanted) {
      const width = column.min + 12;
      // The first that does not fit ends it: a column of less weight must not stand where a better one had no room.
      if (used + width > room && kept.size > 1) break;
      used += width;
      kept.add(column);
    }
    visible = columns.filter((column) => kept.has(column));
    const template = visible.map((column) => (column.grow ? `minmax(${column.min}px, ${column.grow}fr)` : `${column.min}px`)).join(' ');
    root.style.setProperty('--columns', template);
  }

  function drawHead() {
    fill(head, visible.map((column) => {
      const on = sorting && sorting.key === column.key;
      const unit = column.unit ? column.unit() : '';
      const name = [h('span', { class: 'cut' }, column.label), unit && h('span', { class: 'unit' }, unit)];
      const cell = h('div', { class: column.right ? 'right' : '', role: 'columnheader', 'aria-sort': on ? (sorting.down ? 'descending' : 'ascending') : 'none' });
      if (!column.value) return fill(cell, name);
      return fill(cell, h('button', { class: on ? 'sorted' : '', title: column.help || `Sort by ${column.label}`, onclick: () => sortBy(column) }, name, on && icon(sorting.down ? 'down' : 'up', 12)));
    }));
  }

  function sortBy(column) {
    const down = sorting && sorting.key === column.key ? !sorting.down : column.first !== 'up';
    if (onSort) onSort(`${column.key}:${down ? 'down' : 'up'}`);
    else { sort(`${column.key}:${down ? 'down' : 'up'}`); arrange(); }
  }

  /** Sets the order from its text, `cpu:down`. */
  function sort(text) {
    const [key, direction] = (text || '').split(':');
    const column = columns.find((one) => one.key === key && one.value);
    sorting = column ? { key, down: direction !== 'up', column } : null;
  }

  function arrange() {
    fit();
    const ordered = sorting ? [...rows].sort(by(sorting.column, sorting.down)) : rows;
    shown = group ? grouped(ordered) : ordered.map((row) => ({ row }));
    drawHead();
    space.style.setProperty('--row', `${rowHeight()}px`);
    list.set(shown, rowHeight());
  }

  function grouped(ordered) {
    const parts = new Map();
    for (const row of ordered) {
      const name = group(row);
      if (name === null) return ordered.map((one) => ({ row: one }));
      if (!parts.has(name)) parts.set(name, []);
      parts.get(name).push(row);
    }
    return [...parts].sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a.localeCompare(b, undefined, { numeric: true })))
      .flatMap(([heading, members]) => [{ heading, rows: members }, ...members.map((row) => ({ row }))]);
  }

  const resized = framed(arrange);
  const sizes = new ResizeObserver(resized);
  sizes.observe(root);
  return {
    root,
    sort,
    set(next) {
      rows = next;
      arrange();
    },
    /** Draws the rows in sight again, without sorting: for figures that change while somebody reads. */
    redraw: () => { drawHead(); list.redraw(); },
    select(key, { scroll = false } = {}) {
      selected = key;
      for (const element of space.children) element.setAttribute('aria-selected', String(!!key && element.dataset.key === key));
      if (!scroll || !key) return;
      const index = shown.findIndex((item) => item.row && keyOf(item.row) === key);
      if (index >= 0) list.show(index);
    },
    order: () => shown.filter((item) => item.row).map((item) => keyOf(item.row)),
    destroy() {
      sizes.disconnect();
      list.destroy();
      root.remove();
    },
  };
}

function by(column, down) {
  return (a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    // What is absent stands last in either direction: it is neither small nor great.
    const [noX, noY] = [x === null || x === undefined || Number.isNaN(x), y === null || y === undefined || Number.isNaN(y)];
    if (noX || noY) return noX - noY;
    const order = typeof x === 'string' ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return down ? -order : order;
  };
}
