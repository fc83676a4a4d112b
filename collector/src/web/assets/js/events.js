// What happened to a container: the events that the agent's docker source writes as log records.

import { readLines, selector } from './loki.js';
import { matchers } from './scope.js';

const LIMIT = 200;
const WORST = { oom: 'critical', die: 'warning', kill: 'warning', stop: 'none', health_status: 'warning', start: 'ok', create: 'none', destroy: 'none', pause: 'none', unpause: 'ok', restart: 'warning' };

/** Events of one container within the range, oldest first. */
export async function eventsOf(one, { from, to }, signal) {
  const chips = [{ name: 'container', value: one.name }];
  const query = `${selector(matchers(chips))} | event=~"docker\\\\..+|container\\\\..+"`;
  const { lines } = await readLines(query, { from, to: to + 1000, limit: LIMIT, signal });
  return lines;
}

/** The word of what happened: `oom` of `docker.container.oom`. */
export function actionOf({ fields }) {
  return (fields.event || '').split('.').pop();
}

export function eventMark(event) {
  const action = actionOf(event);
  const level = action === 'health_status' && /: healthy/.test(event.text) ? 'ok' : WORST[action] || 'none';
  return { time: event.ms, label: event.text, level };
}
