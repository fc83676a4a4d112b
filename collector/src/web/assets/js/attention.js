// Where something needs a person: alerts that fire, checks that fail, agents that are silent, containers in need.
// Read by the rail (counts), by Home (sentences) and by the tab's title.

const needs = new Map();
const listeners = new Set();

export const attention = {
  /** `{count, level, what}` of a page. */
  of: (page) => needs.get(page) || { count: 0, level: 'ok', what: '' },
  set(page, count, level, what) {
    const before = needs.get(page);
    if (before && before.count === count && before.level === level) return;
    needs.set(page, { count, level, what });
    for (const listener of listeners) listener();
  },
  onChange(listener) {
    listeners.add(listener);
  },
};
