// Building the page: one function instead of a framework.

/**
 * An element. `props`: `class`, `on*` listeners, `data-*`/`aria-*` and other attributes; true sets an empty attribute,
 * false, null and undefined none; `style` takes an object (an attribute would be refused by the content policy).
 * Children: nodes, strings, numbers, arrays of them; null and false are left out.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) set(element, name, value);
  append(element, children);
  return element;
}

export function set(element, name, value) {
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'style') for (const [key, text] of Object.entries(value)) setStyle(element, key, text);
  else if (name === 'value' || name === 'checked') element[name] = value;
  else if (value === true) element.setAttribute(name, '');
  else if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

function setStyle(element, key, text) {
  if (key.startsWith('--')) element.style.setProperty(key, text);
  else element.style[key] = text;
}

export function append(parent, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

/** Replaces everything in `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, ...children);
}

/** Sets a text only when it changed: live rows are written every few seconds, mostly with what they show already. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, props, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props || {})) element.setAttribute(name, value);
  for (const child of children) element.append(child);
  return element;
}

/** A function that runs once per animation frame however often it is called. */
export function framed(run) {
  let asked = 0;
  return () => {
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; run(); });
  };
}

/** A function that runs when it has not been called again for `wait` milliseconds. */
export function settled(wait, run) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), wait);
  };
}

/** Copies text; says so on the button that was pressed. */
export async function copy(text, button) {
  const before = button && button.getAttribute('title');
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Plain http off the loopback has no clipboard API; the old way still works there.
    const area = h('textarea', { class: 'sr' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  if (!button) return;
  button.classList.add('on');
  button.setAttribute('title', 'Copied');
  setTimeout(() => {
    button.classList.remove('on');
    if (before) button.setAttribute('title', before); else button.removeAttribute('title');
  }, 1200);
}
