// Asked for a token: on an address that others can reach the collector wants one. It sets a cookie and comes back here.

import { h } from '../dom.js';
import { dialog } from '../menu.js';

let open = false;

export function watchLogin() {
  addEventListener('unauthorized', () => {
    if (open) return;
    open = true;
    const token = h('input', { class: 'field mono', name: 'token', type: 'password', autocomplete: 'current-password', required: true, 'aria-label': 'Token' });
    dialog([
      h('div', { class: 'input' }, h('h2', {}, 'Log in')),
      h('form', { class: 'login', action: '/login', method: 'get' },
        h('p', {}, 'This collector can be reached from other machines, so it asks for a token. Its first start printed a login URL and wrote the token to the file ', h('code', {}, 'admin-token'), ' in its data directory.'),
        token, h('button', { class: 'btn primary', type: 'submit' }, 'Log in')),
    ], () => { open = false; });
    token.focus();
  });
}
