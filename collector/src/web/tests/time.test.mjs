import './dom.mjs';
import assert from 'node:assert/strict';
import test from 'node:test';
import { describe, moved, parseDuration, parseInstant, resolve, stepFor, widened } from '../assets/js/time.js';
import { axisTimes, niceStep } from '../assets/js/axes.js';

const NOW = Date.UTC(2026, 10, 20, 10, 51, 7);

test('instants are read as people write them', () => {
  const cases = [['now', NOW], ['now-1h30m', NOW - 5_400_000], ['1800000000', 1_800_000_000_000], ['1800000000123', 1_800_000_000_123],
    ['2026-11-20 10:00', Date.UTC(2026, 10, 20, 10)], ['10:00:05', Date.UTC(2026, 10, 20, 10, 0, 5)], ['2026-11-20T10:00:00Z', Date.UTC(2026, 10, 20, 10)]];
  for (const [text, ms] of cases) assert.equal(parseInstant(text, NOW, true), ms, text);
  for (const text of ['', 'now-', 'yesterday', '25:00', '2026-13-01']) assert.equal(parseInstant(text, NOW, true), null, text);
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('1x'), null);
});

test('a range that makes no sense becomes the default one', () => {
  assert.deepEqual(resolve('now', 'now-1h', NOW, true).relative, false);
  const odd = resolve('garbage', 'now', NOW, true);
  assert.equal(odd.to - odd.from, 30 * 60_000);
  assert.equal(resolve('now-1h', 'now', NOW, true).relative, true);
  assert.equal(resolve('now-1h', '10:00', NOW, true).relative, false);
});

test('a range is said in words', () => {
  const said = (from, to) => describe(from, to, resolve(from, to, NOW, true), true);
  assert.equal(said('now-1h', 'now'), 'Last 1 hour');
  assert.equal(said('now-90s', 'now'), 'Last 90s');
  assert.equal(said('2026-11-20 10:00', '2026-11-20 10:30'), '20 Nov 10:00 – 10:30 UTC');
  assert.equal(said('2026-11-18 10:00', '2026-11-20 10:30'), '18 Nov 10:00 – 20 Nov 10:30 UTC');
});

test('stepping and zooming keep the middle', () => {
  const range = { from: NOW - 3_600_000, to: NOW };
  assert.deepEqual(moved(range, -1), { from: String(NOW - 5_400_000), to: String(NOW - 1_800_000) });
  assert.deepEqual(widened(range, NOW), { from: String(NOW - 5_400_000), to: String(NOW) }, 'there is nothing after now');
});

test('steps are round and as fine as the picture', () => {
  assert.equal(stepFor({ from: 0, to: 3_600_000 }, 900, 3), 15);
  assert.equal(stepFor({ from: 0, to: 60_000 }, 900, 3), 1);
  assert.deepEqual([0.3, 3, 30].map((wanted) => niceStep(wanted, 'count')), [0.5, 5, 50]);
  assert.equal(niceStep(100, 'bytes'), 128);
  assert.deepEqual(axisTimes(NOW - 1_800_000, NOW, 360, true).map((one) => one.label), ['10:30', '10:40', '10:50']);
});
