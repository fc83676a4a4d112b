// One query: its letter, its editor, copy and remove.

import { h, fill } from '../../dom.js';
import { icon } from '../../icons.js';
import { editor } from '../../editor.js';
import { copyButton } from '../../states.js';
import { tokens } from '../../promql/tokens.js';
import { complete } from '../../promql/complete.js';

export function queryRow({ index, text, run, remove, signal }) {
  const letter = h('span', { class: 'letter' });
  const field = editor({ value: text, label: 'PromQL query', placeholder: 'PromQL, for example rate(container_cpu_usage_seconds_total[1m])', colour: tokens, complete, run });
  const element = h('div', { class: 'query' }, letter, field.element,
    h('div', { class: 'group' }, copyButton(() => field.value, 'Copy the query'),
      h('button', { class: 'btn plain icon', title: 'Remove', 'aria-label': 'Remove this query', onclick: remove }, icon('close'))));
  signal.addEventListener('abort', field.destroy);
  fill(letter, String.fromCharCode(65 + index));
  return {
    element,
    get value() { return field.value; },
    set: field.set,
    focus: field.focus,
    fault: field.fault,
    destroy: field.destroy,
    index(next) { fill(letter, String.fromCharCode(65 + next)); },
    /** A single query needs no letter. */
    single(alone) { letter.hidden = alone; },
  };
}
