import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { ABSENT, both, column, duration, exact, number, plural, promDuration, quantity, toValue, when, zone } from '../assets/js/format.js';

test('numbers have three significant digits and no exponents that nobody reads', () => {
  const cases = [[0, '0'], [1, '1'], [0.5, '0.5'], [0.123456, '0.123'], [1.23456, '1.23'], [12.345, '12.3'], [123.45, '123'], [999.6, '1,000'], [1234.5, '1,235'], [-2.5, '-2.5'],
    [0.00012345, '0.000123'], [1e-9, '1.00e-9'], [Infinity, '∞']];
  for (const [value, text] of cases) assert.equal(number(value), text, String(value));
});

test('absent is a dash and zero is zero', () => {
  for (const absent of [undefined, null, NaN, '1']) assert.equal(number(absent), ABSENT);
  assert.equal(quantity(0, 'bytes'), '0 B');
  assert.equal(quantity(undefined, 'bytes'), ABSENT);
});

test('each kind of value has its own units', () => {
  const cases = [[0.05, 'cores', '50 mcores'], [1.5, 'cores', '1.5 cores'], [1023, 'bytes', '1,023 B'], [5e6, 'bytes', '4.77 MiB'], [2048, 'bytes/s', '2 KiB/s'], [0.00012, 'seconds', '120 µs'],
    [0.25, 'seconds', '250 ms'], [0.834, 'ratio', '83.4 %'], [1234, '/s', '1.23 k/s'], [1482, 'count', '1,482'], [14820, 'count', '14.8 k'], [5e9, '', '5 G']];
  for (const [value, kind, text] of cases) assert.equal(quantity(value, kind), text);
});

test('a column has one unit, and says so when a value is too small for it', () => {
  const memory = column([5e6, 7e6, 9e6, 2e9, NaN], 'bytes');
  assert.equal(memory.unit, 'MiB');
  assert.equal(memory.write(2e9), '1,907');
  assert.equal(memory.write(100), '<0.01');
  assert.equal(memory.write(undefined), ABSENT);
  assert.equal(column([], 'cores').unit, 'mcores');
});

test('durations have two parts at most', () => {
  const cases = [[0.4, '400 ms'], [3, '3 s'], [59, '59 s'], [61, '1 min 1 s'], [400, '6 min'], [3600, '1 h'], [5000, '1 h 23 min'], [100_000, '1 d 3 h'], [1e6, '11 d']];
  for (const [seconds, text] of cases) assert.equal(duration(seconds), text);
  assert.equal(promDuration(5400), '1h30m');
  assert.equal(promDuration(0.2), '1s');
});

test('times are relative under an hour and a clock with its zone after it', () => {
  const now = Date.UTC(2026, 10, 20, 10, 51, 7);
  assert.equal(when(now - 12_000, now, true), '12 s ago');
  assert.equal(when(now - 500, now, true), 'now');
  assert.equal(when(now - 4 * 3_600_000, now, true), '06:51 UTC');
  assert.equal(when(now - 5 * 86_400_000, now, true), '15 Nov 10:51 UTC');
  assert.equal(when(undefined, now, true), ABSENT);
  assert.equal(both(now - 12_000, now, true), '2026-11-20 10:50:55 UTC (12 s ago)');
  assert.equal(zone(now, true), 'UTC');
});

test('the whole value is there for those who hover', () => {
  assert.equal(exact(5_000_000, 'bytes'), '5,000,000 bytes');
  assert.equal(exact(0.123456789, 'ratio'), '12.3456789 %');
});

test('words follow their number', () => {
  assert.equal(plural(1, 'container'), '1 container');
  assert.equal(plural(1480, 'container'), '1,480 containers');
  assert.equal(toValue('4.3e-01'), 0.43);
  assert.equal(toValue(''), null);
});
