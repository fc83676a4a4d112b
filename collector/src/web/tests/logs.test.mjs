import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { compile, levelWord, nanos, record, words } from '../assets/js/loki.js';
import { hasTerm, highlights, withTerm } from '../assets/js/pages/logs/terms.js';
import { parse } from '../assets/js/pages/logs/linepanel.js';

test('what people type becomes LogQL', () => {
  const cases = [
    ['', '{service=~".+"}'],
    ['refused', '{service=~".+"} |~ "(?i)refused"'],
    ['"No route" -Debug', '{service=~".+"} |= "No route" != "Debug"'],
    ['/time.?out/', '{service=~".+"} |~ "time.?out"'],
    ['service:shop -env:dev level:error level:fatal', '{service="shop", env!="dev"} | detected_level=~"error|fatal"'],
    ['trace_id:4bf9', '{service=~".+"} | trace_id="4bf9"'],
    ['a.b*', '{service=~".+"} |~ "(?i)a\\\\.b\\\\*"'],
    ['{service="shop"} |= "x"', '{service="shop"} |= "x"'],
  ];
  for (const [text, query] of cases) assert.equal(compile(text, []).query, query);
});

test('the scope narrows both ways of asking', () => {
  const scope = [{ name: 'env', value: 'prod', negate: false }];
  assert.equal(compile('x1', scope).query, '{env="prod"} |~ "(?i)x1"');
  assert.equal(compile('{service="shop"} |= "x"', scope).query, '{service="shop", env="prod"} |= "x"');
});

test('a term is put in, taken out and turned round', () => {
  assert.equal(withTerm('refused', { name: 'service', value: 'shop' }), 'refused service:shop');
  assert.equal(withTerm('refused service:shop', { name: 'service', value: 'shop' }), 'refused');
  assert.equal(withTerm('service:shop', { name: 'service', value: 'shop', negate: true }), '-service:shop');
  assert.equal(withTerm('', { name: '', value: 'a b' }), '"a b"');
  assert.equal(withTerm('/a b/ -x', { name: 'env', value: 'prod' }), '/a b/ -x env:prod');
  assert.equal(withTerm('{a="b"} |= "c"', { name: 'env', value: 'prod', negate: true }), '{a="b", env!="prod"} |= "c"');
  assert.equal(hasTerm('-env:dev', { name: 'env', value: 'dev' }), -1);
});

test('a text of quotes and slashes stays one term', () => {
  assert.deepEqual(words('"say \\"hi\\"" /a\\/b/').map((one) => one.value), ['say "hi"', 'a/b']);
});

test('found words are marked, and an expression that the browser does not know marks nothing', () => {
  assert.deepEqual('A refusal: REFUSED'.match(highlights('refus -x env:prod')), ['refus', 'REFUS']);
  assert.equal(highlights('env:prod'), null);
  assert.equal(highlights('/(?P<x>a)/'), null);
});

test('fields are read from JSON and logfmt, and from nothing else', () => {
  assert.deepEqual(parse('{"a":1,"b":{"c":"x"}}'), { a: 1, 'b.c': 'x' });
  assert.deepEqual(parse('level=error msg="timed out" n=3'), { level: 'error', msg: 'timed out', n: '3' });
  assert.equal(parse('{broken'), null);
  assert.equal(parse('plain text with a=b'), null);
});

test('a record has its level, and no names twice', () => {
  const one = record({ time: '1800000000123456789', text: 'x', labels: { service: 'a', service_name: 'a' }, fields: { detected_level: 'error', n: '1' } });
  assert.deepEqual([one.ms, one.level, one.labels, one.fields], [1800000000123, 'error', { service: 'a' }, { n: '1' }]);
  assert.equal(levelWord('WARNING'), 'warn');
  assert.equal(levelWord(undefined), 'unknown');
  assert.equal(nanos(5), '5000000');
});
