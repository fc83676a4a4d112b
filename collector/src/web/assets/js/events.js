// What happened to a container: the events that the agent's docker source writes as log records.

import { readLines, selector } from './loki.js';
import { matchers } from './scope.js';

const LIMIT = 200;
/** What is good news or bad news whatever its severity. */
const NEWS = { oom: 'critical', start: 'ok', unpause: 'ok' };

/** Events of one container within the range, oldest first. */
export async function eventsOf(one, { from, to }, signal) {
  const chips = [{ name: 'container', value: one.name }];
  const query = `${selector(matchers(chips))} | event=~"docker\\\\.container\\\\..+"`;
  const { lines } = await readLines(query, { from, to: to + 1000, limit: LIMIT, signal });
  return lines;
}

/** The word of what happened: `oom` of `docker.container.oom`. */
export function actionOf({ fields }) {
  return (fields.event || '').split('.').pop();
}

export function eventMark(event) {
  const level = NEWS[actionOf(event)] || { error: 'critical', fatal: 'critical', warn: 'warning' }[event.level] || (/ is healthy$/.test(event.text) ? 'ok' : 'none');
  return { time: event.ms, label: event.text, level };
}
