// The top bar: scope, time, live, search. The same on every page.

import { h, fill } from '../dom.js';
import { icon } from '../icons.js';
import { patch, permalink, refresh, view } from '../router.js';
import { describe, moved, widened } from '../time.js';
import { follow, liveStatus, onStatus, sawData } from '../live.js';
import { copy } from '../dom.js';
import { duration } from '../format.js';
import { openSearch } from './search.js';
import { timeMenu } from './timepicker.js';
import { scopeField } from './scopefield.js';

/** Data older than this many milliseconds is marked: two intervals of the agents and some delay. */
const STALE = 25_000;

export function topbar() {
  const scope = scopeField();
  const timeText = h('span', { class: 'cut' });
  const timeButton = h('button', { class: 'btn time', 'aria-haspopup': 'dialog', title: 'Time range', onclick: () => timeMenu(timeButton) }, icon('clock'), timeText);
  const step = (name, label, run) => h('button', { class: 'btn icon wide-only', title: label, 'aria-label': label, onclick: run }, icon(name));
  const liveDot = h('span', { class: 'dot' });
  const liveText = h('span', { class: 'num wide-only' });
  const live = h('button', { class: 'btn live', onclick: () => patch(view().relative ? { live: view().live ? 'off' : null } : { from: null, to: null, live: null }) }, liveDot, liveText);
  const link = h('button', { class: 'btn plain icon wide-only', title: 'Copy a link to exactly this (y)', 'aria-label': 'Copy a link to exactly this', onclick: () => copy(permalink(), link) }, icon('link'));
  const search = h('button', { class: 'btn searchbutton', title: 'Search (/)', 'aria-label': 'Search', onclick: openSearch }, icon('search'), h('span', { class: 'wide-only dim' }, 'Search'), h('kbd', { class: 'wide-only' }, '/'));
  const element = h('header', { class: 'top' }, scope.element,
    h('div', { class: 'group' },
      step('left', 'Earlier ([)', () => patch(moved(refresh(), -1))), timeButton,
      step('right', 'Later (])', () => patch(moved(refresh(), 1))), step('out', 'Zoom out (z)', () => patch(widened(refresh(), Date.now())))),
    live, link, search);

  function draw() {
    const now = view();
    fill(timeText, describe(now.fromText, now.toText, now, now.utc));
    scope.draw();
    drawLive();
  }

  function drawLive() {
    const now = view();
    const status = liveStatus();
    const age = status.newest ? Date.now() - status.newest : null;
    let level = 'paused';
    let words = 'Paused';
    let title = 'Paused: what is shown does not change. Press p to go on.';
    if (!now.relative) {
      title = 'A fixed time range does not change. Press to go to the last 30 minutes, live.';
      words = 'Fixed';
    } else if (now.live && !status.connected && Date.now() - status.since > 4000) {
      level = 'lost';
      words = 'No connection';
      title = 'The collector does not answer. What is shown is old; it goes on when the collector is back.';
    } else if (now.live) {
      level = age !== null && age > STALE ? 'stale' : 'live';
      words = age === null ? 'Live' : level === 'stale' ? `Data ${duration(age / 1000)} old` : `Live · ${Math.max(0, Math.round(age / 1000))} s`;
      title = age === null ? 'Live. No sample has arrived yet.' : `Live. The newest sample is ${duration(age / 1000)} old. Press p to pause.`;
    }
    live.dataset.level = level;
    live.title = title;
    live.setAttribute('aria-label', words);
    fill(liveText, words);
  }
  onStatus(drawLive);
  // On every page somebody wants to know how old the newest data is.
  follow('pulse', (reading) => { if (reading) sawData(reading.newest || 0); }, new AbortController().signal);
  setInterval(drawLive, 1000);
  return { element, draw };
}
