// The colour of a series: a stable hash of what it is, so that it is the same on every chart and page.

const HUES = 8;
/** After eight hues come dashes: three lines of one hue can still be told apart. */
const DASHES = [[], [6, 3], [2, 3]];

function hash(text) {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193) >>> 0;
  // FNV's low bits alone differ little for names that end alike.
  sum ^= sum >>> 15;
  return sum >>> 0;
}

/** What a series is: its labels in order. The metric's name is left out, so that usage and limit of one container agree only if asked to. */
export function identity(labels) {
  return Object.keys(labels).sort().map((name) => `${name}=${labels[name]}`).join(',');
}

/** Hue and dash of each key: its own by hash; where two of one chart would look the same, the later one moves on. */
export function looks(keys) {
  const taken = new Set();
  const found = new Map();
  for (const key of [...keys].sort()) {
    let slot = hash(key) % HUES;
    for (let tries = 0; taken.has(slot) && tries < HUES * DASHES.length; tries += 1) {
      const hue = (slot + 1) % HUES;
      const full = Array.from({ length: HUES }, (_, one) => one).every((one) => taken.has(one + HUES * Math.floor(slot / HUES)));
      slot = full ? hue + HUES * ((Math.floor(slot / HUES) + 1) % DASHES.length) : hue + HUES * Math.floor(slot / HUES);
    }
    taken.add(slot);
    found.set(key, { token: `--d${slot % HUES}`, dash: DASHES[Math.floor(slot / HUES)] });
  }
  return found;
}

let cache = new Map();
addEventListener('themechange', () => { cache = new Map(); });

/** The value of a token, for canvases. */
export function token(name) {
  if (!cache.has(name)) cache.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return cache.get(name);
}

/** A share of a limit as a colour: calm up to 70 %, amber to 90 %, red above. */
export function shareToken(share) {
  if (typeof share !== 'number' || Number.isNaN(share)) return '--other';
  if (share >= 0.9) return '--critical';
  return share >= 0.7 ? '--warning' : '--d0';
}
