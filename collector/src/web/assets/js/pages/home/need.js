// Is all well? One sentence, then what needs a person, each a line: state, what, since, where.

import { h, fill } from '../../dom.js';
import { mark, levelOf } from '../../icons.js';
import { watching } from '../../alertsfeed.js';
import { href, view } from '../../router.js';
import { both, number, plural, when } from '../../format.js';

const SHOWN = 6;
/** These run no more; they count only when they ended badly. */
const STOPPED = ['exited', 'created', 'dead', 'removing'];
const RANK = { critical: 0, warning: 1, none: 2, unknown: 3 };

export function needSection() {
  const headline = h('h1');
  const calm = h('p', { class: 'soft' });
  const list = h('ul', { class: 'needs' });
  const more = h('button', { class: 'btn plain', hidden: true });
  let all = false;
  let last = null;
  more.addEventListener('click', () => { all = !all; draw(last); });
  const element = h('section', { class: 'need', 'aria-label': 'What needs you', 'aria-live': 'polite' }, headline, calm, list, more);

  function draw(data) {
    last = data;
    const lines = joined([...containerLines(data.containers), ...hostLines(data.hosts), ...watchedLines()]);
    fill(headline, sentence(data.containers, lines));
    fill(calm, summary(data));
    const shown = all ? lines : lines.slice(0, SHOWN);
    fill(list, shown.map((line) => h('li', {}, h('a', { href: line.href }, mark(line.level),
      h('span', { class: 'what cut' }, h('b', {}, line.who), ' ', line.what, line.fires && h('span', { class: 'dim' }, ` · ${[...new Set(line.fires)].join(', ')} ${line.fires.length === 1 ? 'fires' : 'fire'}`)),
      h('span', { class: 'dim num', title: line.since ? both(line.since, Date.now(), view().utc) : null }, line.since ? when(line.since, Date.now(), view().utc) : ''),
      h('span', { class: 'dim cut where wide-only' }, line.where || '')))));
    more.hidden = lines.length <= SHOWN;
    fill(more, all ? 'Show fewer' : `and ${lines.length - SHOWN} more`);
  }
  return { element, draw };
}

function containerLines(containers) {
  return containers.filter((one) => one.why && one.why.length && one.level !== 'ok').map((one) => ({
    level: one.level, who: one.name, what: one.why.join(', '), since: one.since || 0, where: [one.service !== one.name && one.service, one.node].filter(Boolean).join(' · '),
    href: href('home', { panel: `container:${one.id}` }), container: true,
  }));
}

function hostLines(hosts) {
  return hosts.filter((one) => one.why && one.why.length && one.level !== 'ok').map((one) => ({
    level: one.level, who: one.node, what: one.why.join(', '), since: 0, where: 'host', href: href('home', { panel: `host:${one.node}` }),
  }));
}

/** An alert about something that stands here already is said on its line; the worst lines come first. */
function joined(lines) {
  const things = new Map(lines.filter((line) => !line.alert).map((line) => [line.who, line]));
  const kept = lines.filter((line) => {
    const about = line.alert && line.about.map((name) => things.get(name)).find(Boolean);
    if (!about) return true;
    about.fires = [...(about.fires || []), line.who];
    about.since = about.since || line.since;
    if (RANK[levelOf(line.level)] < RANK[levelOf(about.level)]) about.level = line.level;
    return false;
  });
  return kept.sort((a, b) => (RANK[levelOf(a.level)] ?? 4) - (RANK[levelOf(b.level)] ?? 4));
}

/** Alerts, checks and agents. */
function watchedLines() {
  const { alerts, checks, agents } = watching();
  const severity = (alert) => (alert.labels.severity === 'warning' || alert.labels.severity === 'info' ? 'warning' : 'critical');
  return [
    ...alerts.filter((one) => one.state === 'firing' && !one.silenced).map((one) => ({
      level: severity(one), who: one.labels.alertname, what: one.annotations.summary || 'is firing', since: Date.parse(one.activeAt), where: 'alert',
      href: href('alerts', { panel: `alert:${one.key}` }), alert: true, about: ['name', 'container', 'check', 'instance', 'node'].map((label) => one.labels[label]).filter(Boolean),
    })),
    ...checks.filter((one) => one.verdict === 'down' || one.verdict === 'failing').map((one) => ({
      level: one.verdict, who: one.name, what: (one.last && one.last.reason) || `is ${one.verdict}`, since: one.since || 0, where: 'check', href: href('checks', { panel: one.name }),
    })),
    ...agents.filter((one) => one.state === 'silent').map((one) => ({
      level: 'silent', who: one.node, what: 'the agent is silent', since: one.seen, where: 'agent', href: href('agents', { panel: one.node }),
    })),
  ];
}

function sentence(containers, lines) {
  const ill = containers.filter((one) => one.level === 'critical' || one.level === 'warning').sort((a, b) => RANK[a.level] - RANK[b.level]);
  const running = containers.filter((one) => !STOPPED.includes(one.state)).length;
  if (ill.length) {
    const total = running + ill.filter((one) => STOPPED.includes(one.state)).length;
    const named = ill.slice(0, 2).map((one) => `${one.name} ${verb(one.why[0])}`).join(', ');
    return `${number(ill.length)} of ${plural(total, 'container')} ${ill.length === 1 ? 'needs' : 'need'} you: ${named}${ill.length > 2 ? ', …' : ''}`;
  }
  if (lines.length) return `${plural(lines.length, 'thing')} ${lines.length === 1 ? 'needs' : 'need'} you; the containers are well`;
  if (running === 0) return 'Nothing runs here yet';
  return running === 1 ? 'The one container is well' : `All ${number(running, 9)} containers are well`;
}

/** The reasons of the API are written to stand after the name. */
function verb(why) {
  return why || 'is not well';
}

function summary({ containers, hosts }) {
  const { alerts, checks, agents, missing } = watching();
  const stopped = containers.filter((one) => one.state === 'exited').length;
  const firing = alerts.filter((one) => one.state === 'firing').length;
  const pending = alerts.filter((one) => one.state === 'pending').length;
  const parts = [
    hosts.length ? plural(hosts.length, 'host') : '',
    stopped ? `${stopped} stopped` : '',
    missing.has('alerts') ? 'alerts cannot be read' : firing || pending ? [firing && `${firing} firing`, pending && `${pending} pending`].filter(Boolean).join(', ') : 'no alert fires',
    missing.has('checks') ? 'checks cannot be read' : checks.length === 0 ? 'no checks' : `${checks.filter((one) => one.verdict === 'up').length} of ${plural(checks.length, 'check')} up`,
    missing.has('agents') ? 'agents cannot be read' : plural(agents.length, 'agent'),
  ];
  return parts.filter(Boolean).join(' · ');
}
