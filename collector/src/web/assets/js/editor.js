// The query editor: a text field over its own coloured copy, with completion below the cursor and the place of an error marked.

import { h, fill, settled } from './dom.js';
import { place } from './menu.js';

/**
 * `colour(text)` gives `[{kind, text, start, end}]`, `complete(text, cursor)` a promise of options, `run(text)` is Enter.
 * Returns `{element, value, set(text), focus(), fault(offset)}`.
 */
export function editor({ value = '', placeholder = '', label, colour, complete, run, onchange }) {
  const copy = h('pre', { 'aria-hidden': 'true' });
  const input = h('textarea', {
    rows: 1, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', 'aria-label': label, placeholder, role: 'combobox', 'aria-expanded': 'false', 'aria-autocomplete': 'list',
  });
  const element = h('div', { class: 'editor' }, copy, input);
  const menu = h('div', { class: 'menu completions', hidden: true, role: 'listbox' });
  let faultAt = -1;
  let offered = null;
  let selected = 0;
  let asked = 0;
  input.value = value;

  function paint() {
    const text = input.value;
    const parts = colour ? colour(text) : [{ kind: 'other', text, start: 0, end: text.length }];
    fill(copy, parts.map((part) => h('span', { class: `tok-${part.kind}` }, part.text)), '\n');
    element.classList.toggle('faulty', faultAt >= 0);
    if (faultAt >= 0) markFault(parts);
  }

  function markFault(parts) {
    const at = parts.findIndex((part) => faultAt < part.end);
    if (at >= 0) copy.children[at].classList.add('fault');
    else copy.insertBefore(h('span', { class: 'fault' }, ' '), copy.lastChild);
  }

  /** Where the cursor is on the screen: the copy has the same letters in the same places. */
  function caretBox() {
    const range = document.createRange();
    let left = offered.from;
    for (const child of copy.childNodes) {
      const node = child.firstChild || child;
      const length = node.textContent.length;
      if (left <= length && node.nodeType === Node.TEXT_NODE) {
        range.setStart(node, left);
        range.setEnd(node, left);
        const box = range.getClientRects()[0];
        if (box) return box;
        break;
      }
      left -= length;
    }
    return input.getBoundingClientRect();
  }

  async function suggest(forced) {
    if (!complete) return;
    const mine = ++asked;
    const cursor = input.selectionStart;
    const found = await complete(input.value, cursor).catch(() => null);
    if (mine !== asked || document.activeElement !== input) return;
    if (!found || found.options.length === 0 || (!forced && found.from === found.to && !/[{,("[]\s*$/.test(input.value.slice(0, cursor)))) return hide();
    offered = found;
    selected = 0;
    drawMenu();
    return undefined;
  }

  function drawMenu() {
    if (!menu.isConnected) document.body.append(menu);
    menu.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    const chosen = offered.options[selected];
    fill(menu, h('div', { class: 'offers' }, offered.options.map((option, index) => h('div', {
      class: 'item', role: 'option', 'aria-selected': String(index === selected),
      onpointerdown: (event) => { event.preventDefault(); selected = index; accept(); },
    }, h('span', { class: `cut mono tok-${option.kind}` }, option.text), h('span', { class: 'aside' }, option.aside)))),
    chosen && chosen.help && h('div', { class: 'about' }, chosen.help));
    place(menu, caretBox());
    const at = menu.querySelector('[aria-selected="true"]');
    if (at) at.scrollIntoView({ block: 'nearest' });
  }

  function hide() {
    asked += 1;
    offered = null;
    menu.hidden = true;
    input.setAttribute('aria-expanded', 'false');
  }

  function accept() {
    const option = offered.options[selected];
    input.setRangeText(option.insert || option.text, offered.from, offered.to, 'end');
    hide();
    changed();
    input.focus();
    if (/[({]$/.test(option.insert || '')) suggest(true);
  }

  function changed() {
    faultAt = -1;
    paint();
    if (onchange) onchange(input.value);
  }

  const later = settled(40, () => suggest(false));
  input.addEventListener('input', () => { changed(); later(); });
  input.addEventListener('blur', hide);
  input.addEventListener('click', hide);
  input.addEventListener('keydown', (event) => {
    if (offered) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (step) {
        event.preventDefault();
        selected = Math.max(0, Math.min(offered.options.length - 1, selected + step));
        drawMenu();
        return;
      }
      if (event.key === 'Tab' || (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && offered.from < offered.to)) { event.preventDefault(); accept(); return; }
      if (event.key === 'Escape') { event.preventDefault(); event.stopPropagation(); hide(); return; }
    }
    if (event.key === ' ' && event.ctrlKey) { event.preventDefault(); suggest(true); return; }
    if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); hide(); run(input.value); }
  });
  paint();
  return {
    element,
    get value() { return input.value; },
    set(text) { if (input.value !== text) { input.value = text; faultAt = -1; paint(); } },
    focus() { input.focus(); input.setSelectionRange(input.value.length, input.value.length); },
    /** Marks the place of an error; -1 takes the mark away. */
    fault(offset) { faultAt = offset; paint(); },
    destroy() { menu.remove(); },
  };
}
