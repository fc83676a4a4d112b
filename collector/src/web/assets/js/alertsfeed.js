// Firing alerts, failing checks and silent agents, read every 15 s while the tab is looked at: for the rail and for Home.

import { get } from './api.js';
import { attention } from './attention.js';

const EVERY = 15_000;
const state = { alerts: [], checks: [], agents: [], rules: 0, missing: new Map(), read: 0 };
const listeners = new Set();

export function watching() {
  return state;
}

export function onWatch(listener, signal) {
  listeners.add(listener);
  signal.addEventListener('abort', () => listeners.delete(listener));
}

export function watchAlerts() {
  read();
  setInterval(() => { if (!document.hidden) read(); }, EVERY);
  document.addEventListener('visibilitychange', () => { if (!document.hidden && Date.now() - state.read > EVERY) read(); });
}

/** Reads at once, for what was just changed here. */
export async function read() {
  state.read = Date.now();
  await Promise.all([
    part('alerts', async () => {
      state.alerts = await alertsNow();
      const firing = state.alerts.filter((one) => one.state === 'firing' && !one.silenced);
      attention.set('alerts', firing.length, 'critical', 'firing');
    }),
    part('checks', async () => {
      state.checks = (await get('/api/checks')).checks;
      const failing = state.checks.filter((one) => one.verdict === 'down' || one.verdict === 'failing');
      attention.set('checks', failing.length, failing.some((one) => one.verdict === 'down') ? 'critical' : 'warning', 'failing');
    }),
    part('agents', async () => {
      state.agents = (await get('/api/agents')).agents;
      const ill = state.agents.filter((one) => one.state === 'silent');
      attention.set('agents', ill.length, 'warning', 'silent');
    }),
  ]);
  for (const listener of listeners) listener(state);
}

async function part(name, run) {
  try {
    await run();
    state.missing.delete(name);
  } catch (error) {
    state.missing.set(name, error);
  }
}

/** Alerts with their silences, by the labels that both interfaces give. */
export async function alertsNow(signal) {
  const [rules, manager] = await Promise.allSettled([
    get('/prom/api/v1/alerts', {}, { signal }), get('/alertmanager/api/v2/alerts', {}, { signal }),
  ]);
  if (rules.status === 'rejected') throw rules.reason;
  const told = new Map();
  for (const one of manager.value || []) told.set(keyOf(one.labels), one);
  return rules.value.data.alerts.map((alert) => {
    const known = told.get(keyOf(alert.labels));
    return { ...alert, key: keyOf(alert.labels), silenced: !!known && known.status.silencedBy.length > 0, silencedBy: known ? known.status.silencedBy : [], receivers: known ? (known.receivers || []).map((one) => one.name) : [] };
  });
}

export function keyOf(labels) {
  return Object.keys(labels).sort().map((name) => `${name}=${labels[name]}`).join(',');
}
