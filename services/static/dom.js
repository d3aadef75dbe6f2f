/** Short names for what every script of the page does with its elements. */

export const find = id => document.getElementById(id);

export const make = (tag, facts = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), facts);
  element.append(...children);
  return element;
};

export const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

/** Text without its last suffix. */
export const stem = name => name.replace(/\.[^.]*$/, "");

/** Bytes as text, in megabytes. */
export const megabytes = bytes => `${(bytes / 1e6).toFixed(1)} MB`;

/** Milliseconds as text, in seconds from one second on. */
export const duration = ms => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
