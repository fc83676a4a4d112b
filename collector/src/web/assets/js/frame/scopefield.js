// The scope as chips, with completion from live tag values. `env:prod`, `-role:db`.

import { h, fill, settled } from '../dom.js';
import { icon } from '../icons.js';
import { get, labelValues } from '../api.js';
import { place } from '../menu.js';
import { patch, view } from '../router.js';
import { parseScope, toggled, writeScope } from '../scope.js';

const FIRST = ['service', 'env', 'role', 'source', 'node', 'container', 'namespace', 'pod', 'cluster'];

export function scopeField() {
  const chips = h('span', { class: 'chips' });
  const input = h('input', {
    class: 'bare', placeholder: 'Scope: env:prod service:shop', 'aria-label': 'Scope', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off',
    role: 'combobox', 'aria-expanded': 'false',
  });
  const element = h('div', { class: 'scope', onclick: (event) => { if (event.target === element || event.target === chips) input.focus(); } }, chips, input);
  const menu = h('div', { class: 'menu', hidden: true, role: 'listbox' });
  document.body.append(menu);
  let options = [];
  let selected = -1;
  let asked = 0;

  function draw() {
    const scope = view().scope;
    fill(chips, scope.map((chip) => h('span', { class: `chip ${chip.negate ? 'not' : ''}` },
      h('button', { title: chip.negate ? 'Excluded; press to include' : 'Included; press to exclude', onclick: () => set(toggled(scope, { ...chip, negate: !chip.negate })) },
        `${chip.negate ? 'not ' : ''}${chip.name}:`, h('b', {}, chip.value)),
      h('button', { class: 'x', title: 'Remove', 'aria-label': `Remove ${chip.name}:${chip.value}`, onclick: () => set(toggled(scope, chip)) }, icon('close', 12)))));
    input.placeholder = scope.length ? '' : innerWidth > 700 ? 'Scope: env:prod service:shop' : 'Scope';
    element.classList.toggle('filled', scope.length > 0);
  }

  function set(scope) {
    patch({ scope: writeScope(scope) });
  }

  function commit(text) {
    const added = parseScope(text);
    if (added.length === 0) return false;
    let scope = view().scope;
    for (const chip of added) if (!scope.some((one) => one.name === chip.name && one.value === chip.value && one.negate === chip.negate)) scope = toggled(scope, chip);
    input.value = '';
    hide();
    set(scope);
    return true;
  }

  async function suggest() {
    const mine = ++asked;
    const given = input.value.trim();
    const [, minus, name, value] = /^(-?)([^:]*)(?::(.*))?$/.exec(given) || [];
    try {
      if (value === undefined) {
        const { data } = await get('/prom/api/v1/labels', { limit: 1000 });
        const names = [...FIRST.filter((one) => data.includes(one)), ...data.filter((one) => !FIRST.includes(one) && !one.startsWith('__'))];
        options = names.filter((one) => one.includes(name)).slice(0, 30).map((one) => ({ text: `${minus}${one}:`, label: one, more: true }));
      } else {
        const plain = value.replace(/^"/, '').toLowerCase();
        const values = await labelValues(name);
        options = values.filter((one) => one.toLowerCase().includes(plain)).slice(0, 50)
          .map((one) => ({ text: writeScope([{ name, value: one, negate: minus === '-' }]), label: one }));
      }
    } catch {
      options = [];
    }
    if (mine !== asked || document.activeElement !== input) return;
    selected = given ? 0 : -1;
    show();
  }

  function show() {
    if (options.length === 0) return hide();
    menu.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    fill(menu, options.map((option, index) => h('div', {
      class: 'item', role: 'option', 'aria-selected': String(index === selected), onpointerdown: (event) => { event.preventDefault(); choose(option); },
    }, h('span', { class: 'cut' }, option.label))));
    place(menu, input.getBoundingClientRect());
    const at = menu.querySelector('[aria-selected="true"]');
    if (at) at.scrollIntoView({ block: 'nearest' });
  }

  function hide() {
    menu.hidden = true;
    asked += 1;
    input.setAttribute('aria-expanded', 'false');
  }

  function choose(option) {
    if (!option.more) { commit(option.text); input.focus(); return; }
    input.value = option.text;
    suggest();
  }

  input.addEventListener('input', settled(60, suggest));
  input.addEventListener('focus', suggest);
  input.addEventListener('blur', hide);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      selected = Math.max(0, Math.min(options.length - 1, selected + (event.key === 'ArrowDown' ? 1 : -1)));
      show();
    } else if ((event.key === 'Enter' || event.key === 'Tab') && !menu.hidden && options[selected]) {
      event.preventDefault();
      choose(options[selected]);
    } else if (event.key === 'Enter') commit(input.value);
    else if (event.key === 'Escape') { event.stopPropagation(); hide(); input.blur(); }
    else if (event.key === 'Backspace' && !input.value && view().scope.length) set(view().scope.slice(0, -1));
  });
  return { element, draw };
}
