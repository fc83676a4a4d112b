// What the page knows of containers: the last reading, and the short history that grows while somebody looks.

const HISTORY = 30;

/** Puts a reading into the model. Pushed readings carry no history: it is kept from before and grows by the new value. */
export function merge(model, answer) {
  const next = new Map();
  for (const one of answer.containers) {
    const before = model.byId.get(one.id);
    if (!one.history && before && before.history) {
      one.history = answer.at === model.at ? before.history : [...before.history, one.cpu === undefined ? null : one.cpu].slice(-HISTORY);
    }
    one.history = one.history || [];
    one.key = one.id;
    // Who a container is does not change from reading to reading; with thousands of them that is worth remembering.
    const same = before && before.state === one.state && before.name === one.name && before.service === one.service;
    one.tags = same ? before.tags : tags(one);
    one.words = same ? before.words : `${one.name} ${one.image || ''} ${one.state || ''} ${Object.values(one.tags).join(' ')}`.toLowerCase();
    if (!same) model.kinds = null;
    next.set(one.id, one);
  }
  model.byId = next;
  model.containers = answer.containers;
  model.at = answer.at;
}

/** Tags as the scope knows them. */
export function tagsOf(one) {
  return one.tags || tags(one);
}

function tags(one) {
  const { service, env, role, source, node } = one;
  return { ...one.labels, service, env, role, source, node, container: one.name };
}

export function wordsFit(one, words) {
  return words.every((word) => (word.startsWith('-') && word.length > 1 ? !one.words.includes(word.slice(1)) : one.words.includes(word)));
}

const ALWAYS = ['service', 'env', 'role', 'source', 'node', 'state', 'image'];

/** By what the containers at hand can be grouped: what has at least one value. */
export function groupings(model) {
  model.kinds = model.kinds || kindsOf(model.containers);
  return model.kinds;
}

function kindsOf(containers) {
  const extra = new Set();
  for (const one of containers) for (const name of Object.keys(one.labels || {})) extra.add(name);
  return [...ALWAYS, ...[...extra].sort()].filter((key) => containers.some((one) => groupName(one, key)))
    .map((key) => ({ key, label: key === 'compose_project' ? 'compose project' : key }));
}

/** The group a container is in; null when nothing is grouped. */
export function groupName(one, by) {
  if (!by) return null;
  if (ALWAYS.includes(by)) return one[by] || '';
  return (one.labels && one.labels[by]) || '';
}
