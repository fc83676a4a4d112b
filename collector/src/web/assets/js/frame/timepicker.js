// What the time button opens: presets, two fields for anything else, local time or UTC.

import { h, fill } from '../dom.js';
import { popover } from '../menu.js';
import { patch, view } from '../router.js';
import { DEFAULT_FROM, PRESETS, editable, parseInstant } from '../time.js';
import { stamp, zone } from '../format.js';

export function timeMenu(anchor) {
  const now = view();
  let close = () => {};
  const choose = (from, to) => {
    close();
    patch({ from: from === DEFAULT_FROM ? null : from, to: to === 'now' ? null : to, live: null });
  };
  const presets = PRESETS.map(([value, label]) => h('button', {
    class: 'item', 'aria-selected': String(now.relative && value === now.fromText), onclick: () => choose(value, 'now'),
  }, label));
  const from = h('input', { class: 'field mono', 'aria-label': 'From', spellcheck: 'false', value: editable(now.fromText, now.from, now.utc) });
  const to = h('input', { class: 'field mono', 'aria-label': 'To', spellcheck: 'false', value: editable(now.toText, now.to, now.utc) });
  const says = h('div', { class: 'dim', role: 'status' });
  const apply = h('button', { class: 'btn primary', type: 'submit' }, 'Show');

  function read() {
    const clock = Date.now();
    const [start, end] = [parseInstant(from.value, clock, now.utc), parseInstant(to.value, clock, now.utc)];
    let wrong = '';
    if (start === null) wrong = `“${from.value}” is no time. Try 10:30, 2026-11-20 10:30 or now-3h.`;
    else if (end === null) wrong = `“${to.value}” is no time. Try now, 11:30 or 2026-11-20 11:30.`;
    else if (start >= end) wrong = 'From is not before to.';
    fill(says, wrong || `${stamp(start, now.utc)} – ${stamp(end, now.utc)} ${zone(end, now.utc)}`);
    apply.disabled = !!wrong;
    return wrong ? null : { start, end };
  }
  from.addEventListener('input', read);
  to.addEventListener('input', read);
  const submit = (event) => {
    event.preventDefault();
    const range = read();
    if (!range) return;
    // What is relative stays relative, so that it can be live; the rest is kept in milliseconds, which no zone changes.
    const keep = (field, ms) => (/^now/.test(field.value.trim()) ? field.value.trim() : String(ms));
    choose(keep(from, range.start), keep(to, range.end));
  };
  const inZone = (utc, label) => h('button', {
    class: 'btn', type: 'button', 'aria-pressed': String(now.utc === utc), onclick: () => { close(); patch({ tz: utc ? 'utc' : null }); },
  }, label);
  const local = zone(Date.now(), false);
  close = popover(anchor, h('div', { class: 'timemenu' },
    h('div', { class: 'presets' }, presets),
    h('form', { onsubmit: submit },
      h('label', {}, 'From', from), h('label', {}, 'To', to), says, h('div', {}, apply),
      h('div', { class: 'group' }, inZone(false, `Local (${local})`), inZone(true, 'UTC')))), { align: 'right' });
  read();
}
