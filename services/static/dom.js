/** Short names for what every script of the page does with its elements. */

export const find = id => document.getElementById(id);

export const make = (tag, facts = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), facts);
  element.append(...children);
  return element;
};

/** Set an element's text; the same text again is not announced again. */
export const tell = (id, text) => {
  if (find(id).textContent !== text) find(id).textContent = text;
};

/** Wait; no longer once a signal aborts. */
export const pause = (milliseconds, signal) => new Promise(resolve => {
  const timer = setTimeout(resolve, milliseconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

/** Text without its last suffix. */
export const stem = name => name.replace(/\.[^.]*$/, "");

/** Bytes as text, in megabytes. */
export const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;

/** Milliseconds as text, in seconds from one second on. */
export const duration = ms => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
