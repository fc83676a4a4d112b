// Things that open over the page: menus below a button, the hover tip, dialogs. One menu at a time; Esc and a click elsewhere close it.

import { h, fill } from './dom.js';

let openMenu = null;

/** Opens `content` below `anchor`. Returns a function that closes it. */
export function popover(anchor, content, { onclose, className = '', align = 'left' } = {}) {
  if (openMenu) {
    const same = openMenu.anchor === anchor;
    openMenu.close();
    if (same) return () => {};
  }
  const element = h('div', { class: `menu ${className}` }, content);
  document.body.append(element);
  place(element, anchor.getBoundingClientRect(), align);
  const outside = (event) => { if (!element.contains(event.target) && !anchor.contains(event.target)) close(); };
  const escape = (event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close();
    if (anchor.focus) anchor.focus();
  };
  const close = () => {
    if (!element.isConnected) return;
    element.remove();
    document.removeEventListener('pointerdown', outside, true);
    document.removeEventListener('keydown', escape, true);
    anchor.removeAttribute('aria-expanded');
    if (openMenu && openMenu.close === close) openMenu = null;
    if (onclose) onclose();
  };
  document.addEventListener('pointerdown', outside, true);
  document.addEventListener('keydown', escape, true);
  anchor.setAttribute('aria-expanded', 'true');
  openMenu = { anchor, close };
  return close;
}

/** Puts a fixed element below (or, without room, above) a rectangle, inside the window. */
export function place(element, box, align = 'left') {
  const margin = 8;
  const { offsetWidth: width, offsetHeight: height } = element;
  let left = align === 'right' ? box.right - width : box.left;
  left = Math.max(margin, Math.min(left, innerWidth - width - margin));
  let top = box.bottom + 4;
  if (top + height > innerHeight - margin) top = Math.max(margin, Math.min(innerHeight - height - margin, box.top - height - 4));
  element.style.left = `${left}px`;
  element.style.top = `${top}px`;
}

/** A menu of choices: `[{label, aside, icon, run, href}]`, `null` for a line between, a string for a heading. */
export function choices(anchor, items, options) {
  let close = () => {};
  const rows = items.map((item) => {
    if (item === null) return h('hr');
    if (typeof item === 'string') return h('div', { class: 'head' }, item);
    const inside = [item.mark, h('span', { class: 'cut' }, item.label), item.aside && h('span', { class: 'aside' }, item.aside)];
    if (item.href) return h('a', { class: 'item', href: item.href, onclick: () => close() }, inside);
    return h('button', { class: 'item', 'aria-selected': item.selected ? 'true' : null, onclick: () => { close(); item.run(); } }, inside);
  });
  close = popover(anchor, rows, options);
  const first = document.querySelector('.menu .item');
  if (first) first.focus({ preventScroll: true });
  return close;
}

let tipElement = null;

/** Shows a tip near a point; `null` hides it. */
export function tip(content, x = 0, y = 0) {
  if (!content) {
    if (tipElement) tipElement.hidden = true;
    return;
  }
  if (!tipElement) {
    tipElement = h('div', { class: 'tip', role: 'tooltip' });
    document.body.append(tipElement);
  }
  tipElement.hidden = false;
  fill(tipElement, content);
  const { offsetWidth: width, offsetHeight: height } = tipElement;
  const left = x + 14 + width > innerWidth - 4 ? x - width - 14 : x + 14;
  tipElement.style.left = `${Math.max(4, left)}px`;
  tipElement.style.top = `${Math.max(4, Math.min(y + 12, innerHeight - height - 4))}px`;
}

/** A dialog over the page; returns a function that closes it. */
export function dialog(content, onclose) {
  const before = document.activeElement;
  const veil = h('div', { class: 'veil', onpointerdown: (event) => { if (event.target === veil) close(); } },
    h('div', { class: 'dialog', role: 'dialog', 'aria-modal': 'true' }, content));
  const keys = (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
    if (event.key === 'Tab') keepInside(event, veil);
  };
  const close = () => {
    if (!veil.isConnected) return;
    veil.remove();
    document.removeEventListener('keydown', keys, true);
    if (before && before.focus) before.focus();
    if (onclose) onclose();
  };
  document.addEventListener('keydown', keys, true);
  document.body.append(veil);
  return close;
}

function keepInside(event, veil) {
  const all = [...veil.querySelectorAll('a[href], button, input, [tabindex="0"]')];
  const [first, last] = [all[0], all[all.length - 1]];
  if (!first) return;
  if (event.shiftKey && document.activeElement === first) { event.preventDefault(); last.focus(); }
  else if (!event.shiftKey && document.activeElement === last) { event.preventDefault(); first.focus(); }
}
