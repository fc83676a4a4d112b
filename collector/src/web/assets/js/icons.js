// The small set of icons, drawn on a 16-unit grid, and the marks of the states, each its own shape.

import { svg } from './dom.js';

const PATHS = {
  home: 'M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5M6.5 13V9.5h3V13',
  metrics: 'M2.5 2.5v11h11M5 10l2.5-3 2.5 1.5L13.5 4',
  logs: 'M3 4h10M3 8h7M3 12h9',
  alerts: 'M8 2.5a4 4 0 0 0-4 4c0 3.5-1.5 5-1.5 5h11S12 10 12 6.5a4 4 0 0 0-4-4zM6.5 13.5a1.6 1.6 0 0 0 3 0',
  checks: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM2 8h12M8 2c2 1.7 2.5 3.8 2.5 6S10 12.3 8 14c-2-1.7-2.5-3.8-2.5-6S6 3.7 8 2z',
  agents: 'M3 3h10v4H3zM3 9h10v4H3zM5.5 5h.01M5.5 11h.01',
  search: 'M7 11.5A4.5 4.5 0 1 0 7 2.5a4.5 4.5 0 0 0 0 9zM10.3 10.3 13.5 13.5',
  close: 'M4 4l8 8M12 4l-8 8',
  left: 'M9.5 4 5.5 8l4 4',
  right: 'M6.5 4l4 4-4 4',
  down: 'M4 6.5l4 4 4-4',
  up: 'M4 9.5l4-4 4 4',
  out: 'M7 11.5A4.5 4.5 0 1 0 7 2.5a4.5 4.5 0 0 0 0 9zM10.3 10.3 13.5 13.5M5 7h4',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.5 1.5',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.5v9l7-4.5z',
  plus: 'M8 3.5v9M3.5 8h9',
  minus: 'M3.5 8h9',
  copy: 'M6 6h7v7H6zM3 10V3h7',
  link: 'M7 9a2.5 2.5 0 0 0 3.5 0l2-2A2.5 2.5 0 0 0 9 3.5L8 4.5M9 7a2.5 2.5 0 0 0-3.5 0l-2 2A2.5 2.5 0 0 0 7 12.5l1-1',
  theme: 'M8 2a6 6 0 1 0 6 6 4.5 4.5 0 0 1-6-6z',
  wide: 'M2.5 3h11v10h-11zM6 3v10',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  eye: 'M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  silence: 'M3 6v4h2.5L9 13V3L5.5 6zM11.5 6.5l3 3M14.5 6.5l-3 3',
  help: 'M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4M8 11.5h.01M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z',
  wrap: 'M2.5 4h11M2.5 8h9a2 2 0 0 1 0 4H8M9.5 10.5 8 12l1.5 1.5M2.5 12h3',
  retry: 'M13 8a5 5 0 1 1-1.5-3.5M13 2.5v3h-3',
  open: 'M6 3H3v10h10v-3M9 3h4v4M13 3 7.5 8.5',
};

/** An icon; what it means is said by the button that holds it. */
export function icon(name, size = 16) {
  return svg('svg', { width: size, height: size, viewBox: '0 0 16 16', 'aria-hidden': 'true' },
    svg('path', {
      d: PATHS[name], fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5', 'stroke-linecap': 'round', 'stroke-linejoin': 'round',
    }));
}

/** The tower of the brand. */
export function tower() {
  return svg('svg', { width: 24, height: 24, viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    svg('path', {
      d: 'M4.5 9h15M6 5.5h12L19.5 9M6 5.5 4.5 9M7 9v10M17 9v10M7 14h10M4.5 19.5h15',
      fill: 'none', stroke: 'currentColor', 'stroke-width': '1.8', 'stroke-linecap': 'round', 'stroke-linejoin': 'round',
    }));
}

/** Which of the six marks a word of the API gets. */
const LEVELS = {
  ok: 'ok', up: 'ok', running: 'ok', healthy: 'ok', inactive: 'ok', active: 'ok', success: 'ok',
  warning: 'warning', pending: 'warning', degraded: 'warning', partial: 'warning', missing: 'warning', starting: 'warning', expiring: 'warning',
  critical: 'critical', firing: 'critical', down: 'critical', failed: 'critical', fail: 'critical', err: 'critical', error: 'critical', unhealthy: 'critical',
  nodata: 'none', none: 'none', silent: 'none', exited: 'none', stale: 'none', expired: 'none', created: 'none',
  unknown: 'unknown', muted: 'muted', paused: 'muted', silenced: 'muted', suppressed: 'muted', off: 'muted',
};

export function levelOf(word) {
  return LEVELS[word] || 'unknown';
}

/** The mark of a state: colour and shape say the same. */
export function mark(word, size = 10) {
  const level = levelOf(word);
  const root = svg('svg', { class: `mark ${level}`, width: size, height: size, viewBox: '0 0 10 10', 'aria-hidden': 'true' });
  const shapes = {
    ok: () => [svg('circle', { cx: 5, cy: 5, r: 4, fill: 'currentColor' })],
    warning: () => [svg('path', { d: 'M5 .6 9.7 9.2H.3z', fill: 'currentColor' })],
    critical: () => [svg('rect', { x: 0.75, y: 0.75, width: 8.5, height: 8.5, rx: 1, fill: 'currentColor' })],
    none: () => [svg('circle', { cx: 5, cy: 5, r: 3.8, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.4, 'stroke-dasharray': '2 1.5' })],
    unknown: () => [svg('path', { d: 'M2.7 3.2A2.3 2.3 0 1 1 6 5.3c-.7.4-1 .8-1 1.6M5 9.2h.01', fill: 'none', stroke: 'currentColor', 'stroke-width': 1.7, 'stroke-linecap': 'round' })],
    muted: () => [svg('path', { d: 'M3 1.5v7M7 1.5v7', stroke: 'currentColor', 'stroke-width': 2 })],
  };
  root.append(...shapes[level]());
  return root;
}
