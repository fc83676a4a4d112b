// The lines, newest at the bottom like a terminal: it follows what comes in until somebody scrolls up, then counts what waits.

import { h, fill } from '../../dom.js';
import { virtual } from '../../virtual.js';
import { LEVELS } from '../../loki.js';
import { plain } from '../../loglist.js';
import { both, clock, day } from '../../format.js';
import { view } from '../../router.js';

const LOAD_AT = 400;
/** A line longer than this is cut in the list; the panel has all of it. */
const LONGEST = 2000;

export function lineList(host, { open, older, following, signal }) {
  const scroller = h('div', { class: 'logscroll', tabindex: '-1' });
  const space = h('div', { class: 'rows', role: 'list' });
  const top = h('div', { class: 'logedge dim' });
  const message = h('div', { class: 'logmessage' });
  scroller.append(top, message, space);
  host.append(scroller);
  let lines = [];
  let pattern = null;
  let selected = '';
  let wrapped = false;
  let follows = true;
  let behind = 0;

  const rows = virtual({
    space, scroller, keyOf: (line) => line.key,
    make: () => h('div', { class: 'logline', role: 'listitem', onclick: (event) => { if (!String(getSelection())) open({ key: event.currentTarget.dataset.key }); } }),
    draw: (line, element, index) => {
      element.dataset.key = line.key;
      element.dataset.level = line.level;
      element.className = `logline${line.key === selected ? ' selected' : ''}`;
      const utc = view().utc;
      const newDay = index === 0 || day(lines[index - 1].ms, utc) !== day(line.ms, utc);
      const who = line.labels.container || line.labels.service || line.labels.source || '';
      fill(element, h('i', { class: 'bar', title: line.level }), shape(line.level),
        h('time', { class: 'num', title: both(line.ms, Date.now(), utc) }, newDay && lines.length && day(lines[0].ms, utc) !== day(lines[lines.length - 1].ms, utc) ? `${day(line.ms, utc)} ` : '', clock(line.ms, utc, true)),
        h('span', { class: 'who cut', title: [line.labels.service, line.labels.container, line.labels.node].filter(Boolean).join(' · ') }, who),
        h('span', { class: 'msg' }, marked(plain(line.text).slice(0, LONGEST))));
    },
  });

  const height = () => {
    const small = scroller.clientWidth < 560;
    if (wrapped) return small ? 74 : 56;
    return small ? 40 : 20;
  };

  function marked(text) {
    if (!pattern) return text || ' ';
    const parts = [];
    let from = 0;
    pattern.lastIndex = 0;
    for (const match of text.matchAll(pattern)) {
      if (match[0] === '') break;
      parts.push(text.slice(from, match.index), h('mark', {}, match[0]));
      from = match.index + match[0].length;
    }
    parts.push(text.slice(from));
    return parts;
  }

  function atEnd() {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 24;
  }

  function toEnd() {
    follows = true;
    behind = 0;
    scroller.scrollTop = scroller.scrollHeight;
    rows.redraw();
    following(true, 0);
  }

  let ours = false;
  scroller.addEventListener('scroll', () => {
    if (ours) { ours = false; return; }
    const end = atEnd();
    if (end && !follows) { follows = true; behind = 0; } else if (!end && follows) follows = false;
    following(follows, behind);
    if (scroller.scrollTop < LOAD_AT) older();
  }, { passive: true });
  const sizes = new ResizeObserver(() => { rows.set(lines, height()); if (follows) scroller.scrollTop = scroller.scrollHeight; });
  sizes.observe(scroller);
  signal.addEventListener('abort', () => { sizes.disconnect(); rows.destroy(); });

  return {
    set(next, { toEnd: jump = false, added = 0, moreBefore = false, cut = false } = {}) {
      lines = next;
      if (lines.length) fill(message);
      fill(top, lines.length === 0 ? null : cut ? 'More lines than a page can hold. Narrow the search or the time to see older ones.' : moreBefore ? 'Older lines are read as you scroll up.' : 'The first line of this time range.');
      const keep = scroller.scrollTop;
      rows.set(lines, height());
      ours = true;
      if (jump || follows) { follows = true; behind = 0; scroller.scrollTop = scroller.scrollHeight; following(true, 0); }
      // Lines put in above must not move what is being read.
      else if (added) scroller.scrollTop = keep + added * height();
      requestAnimationFrame(() => { ours = false; });
      rows.redraw();
    },
    came(count) {
      if (follows) return;
      behind += count;
      following(false, behind);
    },
    mark(next) { pattern = next; },
    wrap(next) {
      if (wrapped === next) return;
      wrapped = next;
      host.classList.toggle('wrapped', next);
      rows.set(lines, height());
      if (follows) scroller.scrollTop = scroller.scrollHeight;
    },
    say(content) { fill(message, content); if (content) fill(top); },
    select(key, scroll) {
      selected = key;
      for (const element of space.children) element.classList.toggle('selected', element.dataset.key === key);
      const index = scroll ? lines.findIndex((line) => line.key === key) : -1;
      if (index >= 0) { follows = index === lines.length - 1 && follows; ours = true; rows.show(index, 4); }
    },
    toEnd,
  };
}

/** A letter beside the colour: E for error, W for warn; calm levels have none. */
function shape(level) {
  const letter = { fatal: 'F', error: 'E', warn: 'W' }[level] || '';
  return h('b', { class: 'shape', 'aria-label': LEVELS.includes(level) ? level : 'unknown' }, letter);
}
