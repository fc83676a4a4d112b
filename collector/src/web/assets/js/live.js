// Server-sent events. One connection for a tab that is looked at: browsers allow six to a host, so hidden tabs give theirs back.

const handlers = new Map();
const watchers = new Set();
let source = null;
let open = '';
let status = { connected: false, since: Date.now(), heard: 0, newest: 0, trouble: new Map() };

/** Calls `handler(data)` with each reading of a feed until `signal` is aborted. */
export function follow(feed, handler, signal) {
  if (!handlers.has(feed)) handlers.set(feed, new Set());
  handlers.get(feed).add(handler);
  queueMicrotask(connect);
  signal.addEventListener('abort', () => {
    handlers.get(feed).delete(handler);
    if (handlers.get(feed).size === 0) handlers.delete(feed);
    queueMicrotask(connect);
  }, { once: true });
}

/** Tells when something about the connection changed. */
export function onStatus(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

export function liveStatus() {
  return status;
}

/** The newest sample that anybody saw; the top bar says how old it is. */
export function sawData(newest) {
  if (newest > status.newest) status.newest = newest;
  tell();
}

function tell() {
  for (const watcher of watchers) watcher(status);
}

export function connect() {
  const wanted = document.hidden ? '' : [...handlers.keys()].sort().join(',');
  const address = document.hidden ? '' : `/api/live?feeds=${encodeURIComponent(wanted)}`;
  if (address === open && (source === null || source.readyState !== EventSource.CLOSED)) return;
  if (source) source.close();
  source = null;
  open = address;
  if (!address) return;
  source = new EventSource(address);
  source.onopen = () => { status.connected = true; status.since = Date.now(); tell(); };
  source.onerror = () => {
    if (status.connected) { status.connected = false; status.since = Date.now(); }
    tell();
    // A refused connection is not tried again by the browser itself.
    if (source && source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
  source.addEventListener('beat', () => { status.heard = Date.now(); tell(); });
  source.addEventListener('trouble', (event) => {
    const { feed, error } = JSON.parse(event.data);
    status.trouble.set(feed, error);
    for (const handler of handlers.get(feed) || []) handler(null, error);
  });
  for (const feed of handlers.keys()) source.addEventListener(feed, (event) => deliver(feed, event.data));
}

// Readings that arrive faster than frames are painted: only the newest of each feed is parsed and applied.
const waiting = new Map();
function deliver(feed, data) {
  const first = waiting.size === 0;
  waiting.set(feed, data);
  if (!first) return;
  requestAnimationFrame(() => {
    const readings = [...waiting];
    waiting.clear();
    for (const [name, text] of readings) {
      status.trouble.delete(name);
      status.heard = Date.now();
      const parsed = JSON.parse(text);
      for (const handler of handlers.get(name) || []) handler(parsed);
    }
    tell();
  });
}

document.addEventListener('visibilitychange', connect);
