// The few things of a browser that modules touch when they are loaded, so that their pure parts run under node.

const nothing = () => {};
globalThis.addEventListener ||= nothing;
globalThis.dispatchEvent ||= nothing;
globalThis.location ||= new URL('http://collector/');
globalThis.history ||= { pushState: nothing, replaceState: nothing };
globalThis.matchMedia ||= () => ({ matches: false, addEventListener: nothing });
globalThis.document ||= { addEventListener: nothing, documentElement: { dataset: {} }, hidden: false };
