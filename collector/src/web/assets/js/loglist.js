// A short list of log lines inside a panel: level bar, time, message.

import { h, fill } from './dom.js';
import { clock, both } from './format.js';
import { view } from './router.js';

/** Draws lines; `here` marks one of them. */
export function logList(host, lines, { here = null, open = null } = {}) {
  fill(host, h('div', { class: 'loglist' }, lines.map((one) => h('div', {
    class: `line ${one === here ? 'here' : ''}`, 'data-level': one.level, title: both(one.ms, Date.now(), view().utc), onclick: open ? () => open(one) : null,
  }, h('i', { title: one.level }), h('time', { class: 'num' }, clock(one.ms, view().utc)), h('span', { class: 'msg' }, plain(one.text) || ' ')))));
}

/** Without the colour codes of terminals, which are noise here. */
export function plain(text) {
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replace(/\r$/, '');
}
