// The live tail: lines as they become durable, by server-sent events. Hidden tabs do not listen.

import { record } from '../../loki.js';

export function tail({ got, trouble, signal }) {
  let source = null;
  let wanted = '';
  let timer = 0;
  let failedSince = 0;

  function open() {
    close();
    if (!wanted || document.hidden) return;
    source = new EventSource(`/api/live/logs?query=${encodeURIComponent(wanted)}`);
    source.onopen = () => { if (failedSince) trouble(''); failedSince = 0; };
    source.onerror = () => {
      if (!failedSince) failedSince = Date.now();
      if (Date.now() - failedSince > 5000) trouble('New lines are not shown until the collector answers again.');
      if (source && source.readyState === EventSource.CLOSED) timer = setTimeout(open, 3000);
    };
    source.addEventListener('lines', (event) => {
      const { entries, missed } = JSON.parse(event.data);
      got(entries.map(({ time, line, labels, fields }) => record({ time, text: line, labels, fields })), missed || 0);
    });
  }

  function close() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }

  document.addEventListener('visibilitychange', open, { signal });
  signal.addEventListener('abort', close);
  return {
    set(query) {
      if (query === wanted && (source || !query)) return;
      wanted = query;
      open();
    },
  };
}
