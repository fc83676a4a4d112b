// Asking the collector: one request for one question however many ask it, cancelled when nobody waits any more.

const TIMEOUT = 30_000;
const inFlight = new Map();

/** What came back instead of an answer, with all that a person needs to see what was asked. */
export class ApiError extends Error {
  constructor(message, details) {
    super(message);
    this.name = 'ApiError';
    Object.assign(this, { url: '', status: 0, kind: '' }, details);
  }
}

export function aborted(error) {
  return error && error.name === 'AbortError';
}

/** GET, JSON. Equal questions share one request. `signal` ends this caller's wait; the request ends with the last one. */
export function get(path, params = {}, { signal, headers } = {}) {
  const url = address(path, params);
  let shared = inFlight.get(url);
  if (!shared) {
    const controller = new AbortController();
    shared = { controller, waiting: 0, answer: ask(url, { signal: controller.signal, headers }) };
    shared.answer.catch(() => {}).finally(() => { if (inFlight.get(url) === shared) inFlight.delete(url); });
    inFlight.set(url, shared);
  }
  shared.waiting += 1;
  if (!signal) return shared.answer;
  return new Promise((resolve, reject) => {
    const leave = () => {
      shared.waiting -= 1;
      if (shared.waiting === 0) {
        inFlight.delete(url);
        shared.controller.abort();
      }
      reject(new DOMException('the view left', 'AbortError'));
    };
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    shared.answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

/** Sends JSON and gives the JSON that comes back. */
export function send(method, path, body) {
  const options = { method };
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  return ask(path, options);
}

function address(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== null) query.append(name, one);
  }
  const text = String(query);
  return text ? `${path}?${text}` : path;
}

async function ask(url, options) {
  const limit = AbortSignal.timeout(TIMEOUT);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  let response;
  let body;
  try {
    response = await fetch(url, { ...options, signal });
    body = await response.text();
  } catch (error) {
    if (limit.aborted) throw new ApiError('No answer within 30 s.', { url, kind: 'timeout' });
    if (aborted(error)) throw error;
    throw new ApiError('The collector does not answer.', { url, kind: 'network' });
  }
  let json = null;
  try {
    json = body ? JSON.parse(body) : null;
  } catch {
    // Not JSON: whatever it is, it is shown below.
  }
  if (!response.ok || (json && json.status === 'error')) {
    if (response.status === 401) dispatchEvent(new Event('unauthorized'));
    const said = json && (json.error || json.message);
    throw new ApiError(typeof said === 'string' ? said : body.slice(0, 400) || response.statusText, {
      url, status: response.status, kind: (json && json.errorType) || '',
    });
  }
  if (json === null && body) throw new ApiError('The answer is not JSON.', { url, status: response.status });
  return json;
}

/** `query` at one instant (milliseconds): `{type, result, warnings}`. */
export async function instant(query, time, options) {
  const answer = await get('/prom/api/v1/query', { query, time: time / 1000 }, options);
  return unwrap(answer);
}

/** `query` over a range: series as `[{metric, values: [[seconds, text], …]}]`. Times are put on the grid of the step, so that reloads agree. */
export async function range(query, { from, to, step }, options) {
  const start = Math.floor(from / 1000 / step) * step;
  const end = Math.floor(to / 1000 / step) * step;
  const answer = await get('/prom/api/v1/query_range', { query, start, end, step }, options);
  return { ...unwrap(answer), start, end, step };
}

function unwrap(answer) {
  return { type: answer.data.resultType, result: answer.data.result, warnings: [...(answer.warnings || []), ...(answer.infos || [])] };
}

/** Values of a label, from series and from log streams; what one side does not answer is left out. */
export async function labelValues(name, signal) {
  const encoded = encodeURIComponent(name);
  const answers = await Promise.allSettled([
    get(`/prom/api/v1/label/${encoded}/values`, { limit: 1000 }, { signal }),
    get(`/loki/api/v1/label/${encoded}/values`, {}, { signal }),
  ]);
  const values = new Set();
  for (const answer of answers) for (const value of (answer.value && answer.value.data) || []) values.add(value);
  return [...values].sort();
}

/** Prometheus writes values as text, with words for what JSON cannot say. */
export function toNumber(text) {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}
