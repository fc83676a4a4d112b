import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { limited, name, onGrid, seriesText, summary } from '../assets/js/series.js';
import { looks } from '../assets/js/color.js';

const ID = '0123456789ab'.padEnd(64, 'c');
const labelled = (...all) => { const series = all.map((labels) => ({ labels })); name(series); return series.map((one) => one.label); };

test('a gap stays a gap and what is no number is none', () => {
  const { times, series } = onGrid({ start: 100, end: 130, step: 10, result: [{ metric: { a: 'b' }, values: [[100, '1'], [120, 'NaN'], [130, '+Inf']] }] });
  assert.deepEqual(times, [100, 110, 120, 130]);
  assert.deepEqual(series[0].values, [1, null, null, null]);
});

test('series are named by the fewest labels that tell them apart', () => {
  assert.deepEqual(labelled({ __name__: 'up', job: 'a' }), ['up']);
  assert.deepEqual(labelled({ name: 'web', id: `/docker/${ID}`, env: 'prod' }, { name: 'db', id: '/docker/x', env: 'prod' }), ['web', 'db']);
  assert.deepEqual(labelled({ id: `/docker/${ID}` }, { id: '/' }), ['0123456789ab', '/']);
  assert.deepEqual(labelled({ __name__: 'a', job: 'x' }, { __name__: 'b', job: 'x' }), ['a', 'b']);
  assert.deepEqual(labelled({ mode: 'user', cpu: '0' }, { mode: 'user', cpu: '1' }), ['0', '1']);
  assert.equal(seriesText({ __name__: 'up', job: 'a' }), 'up{job="a"}');
});

test('the smallest of many are summed, and nothing is left out of the sum', () => {
  const series = Array.from({ length: 5 }, (_, index) => ({ key: String(index), values: [index, null] }));
  const { drawn, rest } = limited(series, 2);
  assert.deepEqual([rest, drawn.map((one) => one.key)], [3, ['4', '3', 'other']]);
  assert.deepEqual(drawn[2].values, [3, null]);
});

test('least, mean, greatest and last pass over gaps', () => {
  assert.deepEqual(summary([null, 2, 4, null]), { least: 2, mean: 3, greatest: 4, last: 4 });
  assert.ok(Number.isNaN(summary([null]).last));
});

test('a colour belongs to a series, and two on one chart differ', () => {
  const alone = looks(['a=1']).get('a=1');
  const keys = Array.from({ length: 24 }, (_, index) => `a=${index}`);
  const all = looks(keys);
  assert.equal(new Set([...all.values()].map((one) => one.token + one.dash)).size, 24);
  assert.deepEqual(looks(['a=1']).get('a=1'), alone);
});
