import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { matchers, parseScope, passes, quote, toggled, writeScope } from '../assets/js/scope.js';

test('a scope is read back as it was written', () => {
  const text = 'env:prod -role:db service:"my shop"';
  assert.deepEqual(parseScope(text), [
    { name: 'env', value: 'prod', negate: false }, { name: 'role', value: 'db', negate: true }, { name: 'service', value: 'my shop', negate: false }]);
  assert.equal(writeScope(parseScope(text)), text);
  assert.deepEqual(parseScope('nonsense : :x'), []);
});

test('several values of one tag are alternatives', () => {
  const chips = parseScope('service:a service:b.c -env:dev');
  assert.deepEqual(matchers(chips), ['service=~"a|b\\\\.c"', 'env!="dev"']);
  assert.ok(passes(chips, { service: 'a', env: 'prod' }));
  assert.ok(!passes(chips, { service: 'c', env: 'prod' }));
  assert.ok(!passes(chips, { service: 'a', env: 'dev' }));
});

test('a chip pressed twice is gone, and its opposite takes its place', () => {
  const one = toggled([], { name: 'env', value: 'prod' });
  assert.equal(writeScope(one), 'env:prod');
  assert.equal(writeScope(toggled(one, { name: 'env', value: 'prod', negate: true })), '-env:prod');
  assert.equal(writeScope(toggled(one, { name: 'env', value: 'prod' })), '');
});

test('texts are quoted so that no query can be changed by them', () => {
  assert.equal(quote('a"b\\c\n'), '"a\\"b\\\\c\\n"');
});
