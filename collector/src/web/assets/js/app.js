// Starts the frame and opens the page that the URL names.

import { h, fill } from './dom.js';
import { startRouter, onView, view, refresh, href } from './router.js';
import { rail } from './frame/rail.js';
import { topbar } from './frame/topbar.js';
import { startKeys } from './frame/keys.js';
import { attention } from './attention.js';
import { failure, skeleton } from './states.js';
import { watchAlerts } from './alertsfeed.js';
import { connect } from './live.js';
import { watchLogin } from './frame/login.js';

/** Pages are loaded when they are first opened; Home is what most people open first. */
const PAGES = {
  home: () => import('./pages/home.js'),
  metrics: () => import('./pages/metrics.js'),
  logs: () => import('./pages/logs.js'),
  alerts: () => import('./pages/alerts.js'),
  checks: () => import('./pages/checks.js'),
  agents: () => import('./pages/agents.js'),
};

const main = h('main', { class: 'main' });
const side = rail();
const top = topbar();
let open = null;

async function show(now, before) {
  side.draw();
  top.draw();
  if (open && before && before.page === now.page) {
    if (open.page && open.page.change) open.page.change(now, before);
    return;
  }
  if (open) open.controller.abort();
  const controller = new AbortController();
  const root = h('div', { class: 'page', tabindex: '-1' });
  fill(main, root);
  const mine = { controller, page: null };
  open = mine;
  if (!now.known) {
    document.title = 'Not found · Yagura';
    fill(root, h('div', { class: 'empty' }, h('h2', {}, 'There is no such page'), h('p', {}, location.pathname), h('a', { class: 'btn', href: href('home') }, 'Home')));
    return;
  }
  const waiting = h('div', { class: 'pad' }, skeleton(6));
  fill(root, waiting);
  try {
    const module = await PAGES[now.page]();
    if (controller.signal.aborted) return;
    root.replaceChildren();
    mine.title = module.title;
    mine.page = module.open({ root, main, signal: controller.signal, every: (run) => every(run, controller.signal) });
    drawTitle();
  } catch (error) {
    fill(root, h('div', { class: 'pad' }, failure(error, `the page ${now.page}`, () => location.reload(), 'open')));
    throw error;
  }
}

function drawTitle() {
  const firing = attention.of('alerts').count;
  document.title = `${firing ? `(${firing}) ` : ''}${(open && open.title) || 'Home'} · Yagura`;
}

/** Calls `run` again and again while the page is live and looked at: the wider the range, the less often. */
function every(run, signal) {
  let last = Date.now();
  const timer = setInterval(() => {
    const now = view();
    const wait = Math.max(10_000, Math.min(120_000, (now.to - now.from) / 180));
    if (!now.live || document.hidden || Date.now() - last < wait) return;
    last = Date.now();
    refresh();
    run();
  }, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
}

fill(document.getElementById('app'), side.element, top.element, main);
attention.onChange(() => { side.draw(); drawTitle(); });
startRouter();
watchLogin();
startKeys(() => open && open.page);
onView(show);
show(view(), null);
connect();
watchAlerts();
