/** The controls that say how a result is to look. */

import { find } from "./dom.js";
import { thumbnail } from "./drawing.js";
import { threshold } from "./saliency.js";

const COLOURS = { white: "#ffffff", green: "#78ff9b" }; // the service's own
let background = null;
let chosen = 0;

/** {kind, colour, background: layer or null, level: 1 to 255 or null}, see `saliency.drawing`. */
export function look() {
  const kind = document.querySelector("[name=kind]:checked").value;
  return {
    kind,
    colour: COLOURS[kind] || find("colour").value,
    background,
    level: find("hard").checked ? Number(find("level").value) : null,
  };
}

/** What the look is called in a file's name. */
export const lookName = ({ kind, colour }) => (kind === "colour" ? colour.slice(1) : kind);

/** What the look is called in words. */
export function lookTitle({ kind, colour, level }) {
  const title = document.querySelector(`[name=kind][value=${kind}]`).parentElement.textContent.trim();
  const parts = [kind === "colour" ? `${title} ${colour}` : title];
  if (level !== null) parts.push(`threshold ${threshold(level).toFixed(2)}`);
  return parts.join(", ");
}

/** Whether two looks give the same result. */
export function sameLook(one, other) {
  const facts = ({ kind, colour, background, level }) =>
    JSON.stringify([kind, kind === "colour" && colour, kind === "picture" && background?.key, level]);
  return facts(one) === facts(other);
}

/**
 * @param kind the one chosen at first.
 * @param changed called when a control has been changed; with true while a control is being moved.
 */
export function watchLook(kind, changed) {
  document.querySelector(`[name=kind][value=${kind}]`).checked = true;
  show();
  find("looks").addEventListener("input", ({ target }) => {
    show();
    changed(target === find("level"));
  });
  find("own-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    const turn = ++chosen, small = await thumbnail(file).catch(() => null);
    small?.close(); // it tells whether the browser can read the file
    if (turn !== chosen) return; // another was chosen meanwhile
    if (small) background = { key: `background ${turn}`, blob: file };
    find("own-name").textContent = small ? file.name : `this browser cannot read ${file.name}`;
    changed(false);
  });
}

/** Show the controls that the chosen kind has. */
function show() {
  const { kind, level } = look();
  find("colour-row").hidden = kind !== "colour";
  find("own-row").hidden = kind !== "picture";
  find("level").disabled = level === null;
  find("threshold").textContent = threshold(Number(find("level").value)).toFixed(2);
  find("swatch").style.background = find("colour").value;
}
