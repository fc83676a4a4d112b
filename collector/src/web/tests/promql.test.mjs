import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { contextAt, errorOffset, tokens, withScope } from '../assets/js/promql/tokens.js';
import { comparison } from '../assets/js/promql/compare.js';
import { kindOf } from '../assets/js/pages/metrics/kind.js';
import { matchers } from '../assets/js/scope.js';

const kinds = (text) => tokens(text).filter((one) => one.kind !== 'space').map((one) => `${one.kind}:${one.text}`).join(' ');

test('names are told apart by where they stand', () => {
  assert.equal(kinds('sum by (env) (rate(up{job="a"}[5m]))'),
    'aggregation:sum keyword:by bracket:( label:env bracket:) bracket:( function:rate bracket:( metric:up bracket:{ label:job operator:= string:"a" bracket:} bracket:[ duration:5m bracket:] bracket:) bracket:)');
  assert.equal(kinds('a on(b) group_left c offset 5m # x'), 'metric:a keyword:on bracket:( label:b bracket:) keyword:group_left metric:c keyword:offset duration:5m comment:# x');
});

test('every text is kept whatever is typed', () => {
  for (const text of ['sum(', 'a{b="', '}}}', 'é ☃', "a{b='x\\'y'}", '1.5e3 + .5', '']) assert.equal(tokens(text).map((one) => one.text).join(''), text);
});

test('the scope goes into every selector that does not name the label itself', () => {
  const scope = [{ name: 'env', value: 'prod', negate: false }];
  const cases = [
    ['up', 'up{env="prod"}'], ['up{}', 'up{env="prod"}'], ['rate(a{b="c",}[1m]) / a', 'rate(a{b="c", env="prod"}[1m]) / a{env="prod"}'],
    ['a{env="dev"}', 'a{env="dev"}'], ['{__name__="x"}', '{__name__="x", env="prod"}'], ['sum by (env) (a) > 5', 'sum by (env) (a{env="prod"}) > 5'],
    ['time() - 5', 'time() - 5'],
  ];
  for (const [query, wanted] of cases) assert.equal(withScope(query, scope, matchers), wanted);
  assert.equal(withScope('up', [], matchers), 'up');
});

test('completion knows what is being typed', () => {
  const at = (marked) => {
    const cursor = marked.indexOf('|');
    const found = contextAt(marked.replace('|', ''), cursor);
    return [found.kind, found.word, found.label, found.metric].filter(Boolean).join(' ');
  };
  assert.equal(at('rat|'), 'name rat');
  assert.equal(at('rate(nod|'), 'name nod');
  assert.equal(at('up{jo|}'), 'label jo up');
  assert.equal(at('up{job="nod|'), 'value nod job up');
  assert.equal(at('up{job="a",|'), 'label up');
  assert.equal(at('sum by (in|) (up)'), 'label in up');
  assert.equal(at('rate(up[5|'), 'none');
  assert.equal(at('rate(up[|'), 'duration');
  assert.equal(at('# com|'), 'none');
});

test('an error is found at its line and column', () => {
  assert.equal(errorOffset('1:7: parse error: unexpected end', 'sum(up'), 6);
  assert.equal(errorOffset('invalid parameter "query": 2:3: parse error: x', 'a +\n b c'), 6);
  assert.equal(errorOffset('the disk is gone', 'up'), -1);
});

test('an alert is what is measured and what it is measured against', () => {
  const cases = [
    ['a / b > 0.25', ['a / b', '>', 0.25]], ['(a < bool 4 * 3600)', ['a', '<', 14400]], ['up == 0', ['up', '==', 0]],
    ['increase(a[10m]) > 3 and on (x) b > 1', ['increase(a[10m])', '>', 3]], ['sum(a > 5) >= 1', ['sum(a > 5)', '>=', 1]],
  ];
  for (const [query, [left, op, value]] of cases) assert.deepEqual(comparison(query), { left, op, value }, query);
  for (const query of ['absent(up)', 'a > b', 'a', '']) assert.equal(comparison(query), null, query);
});

test('the unit of a query follows from the names in it', () => {
  const cases = [
    ['rate(container_cpu_usage_seconds_total[1m])', 'cores'], ['container_memory_rss_bytes', 'bytes'], ['rate(node_disk_read_bytes_total[1m])', 'bytes/s'],
    ['probe_duration_seconds', 'seconds'], ['rate(node_pressure_io_waiting_seconds_total[1m])', 'ratio'], ['a_bytes / b_bytes', 'ratio'], ['count(up)', 'count'],
    ['rate(http_requests_total[1m])', '/s'], ['a_bytes * 8', ''], ['1 + 1', ''],
  ];
  for (const [query, kind] of cases) assert.equal(kindOf([query]), kind, query);
  assert.equal(kindOf(['a_bytes', 'up']), '', 'queries that disagree have no unit');
});
