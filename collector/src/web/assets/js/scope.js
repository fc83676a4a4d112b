// The scope: which tags everything on the page is narrowed to. `env:prod -role:db service:a service:b`

/** Chips from their text: `[{name, value, negate}]`. A value with spaces is quoted. */
export function parseScope(text) {
  const chips = [];
  for (const [, minus, name, quoted, plain] of text.matchAll(/(-?)([A-Za-z_][\w.]*):(?:"((?:[^"\\]|\\.)*)"|(\S+))/g)) {
    const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    chips.push({ name, value, negate: minus === '-' });
  }
  return chips;
}

export function writeScope(chips) {
  return chips.map(({ name, value, negate }) => `${negate ? '-' : ''}${name}:${/[\s"]/.test(value) ? quote(value) : value}`).join(' ');
}

/** A chip put in or, if it is there already, taken out; its opposite goes either way. */
export function toggled(chips, chip) {
  const same = (one) => one.name === chip.name && one.value === chip.value;
  const there = chips.some((one) => same(one) && one.negate === !!chip.negate);
  const rest = chips.filter((one) => !same(one));
  return there ? rest : [...rest, { name: chip.name, value: chip.value, negate: !!chip.negate }];
}

/** Whether tags pass: of several chips with one name any may hold, of the negated none. */
export function passes(chips, tags) {
  const wanted = new Map();
  for (const { name, value, negate } of chips) {
    const has = tags[name] === value;
    if (negate && has) return false;
    if (!negate) wanted.set(name, wanted.get(name) || has);
  }
  return [...wanted.values()].every(Boolean);
}

/** As matchers of PromQL and LogQL: `['env="prod"', 'service=~"a|b"']`. */
export function matchers(chips) {
  const sides = new Map();
  for (const { name, value, negate } of chips) {
    const key = `${name}${negate ? '!' : ''}`;
    if (!sides.has(key)) sides.set(key, { name, negate, values: [] });
    sides.get(key).values.push(value);
  }
  return [...sides.values()].map(({ name, negate, values }) => {
    if (values.length === 1) return `${name}${negate ? '!=' : '='}${quote(values[0])}`;
    return `${name}${negate ? '!~' : '=~'}${quote(values.map(escapeRegex).join('|'))}`;
  });
}

export function escapeRegex(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** A text as a string of PromQL and LogQL. */
export function quote(text) {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}
