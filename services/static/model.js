/** What the service says of itself: the model that runs, how, and what it takes. */

import { find, make, megabytes } from "./dom.js";

const MAX_HINTS = 16;

/** @param about {name, description, card, limits}, as `describe` returns it. */
export function showModel({ name, description, card, limits }) {
  const { provenance, use } = card;
  find("model").textContent = description.replace(/^.*? parameters\)/, name).replace(/, weights \w+$/, "");
  find("runs").textContent = description;
  const licence = provenance.licence && `licence ${provenance.licence}`;
  find("source").textContent = [provenance.source, licence].filter(Boolean).join("; ");
  find("limits").textContent = limitsOf(limits);
  find("about").hidden = false;
  find("hints").replaceChildren(...(use.classes || []).slice(0, MAX_HINTS).map(hint));
}

function limitsOf({ max_body, max_pixels, max_classes, max_video_body, max_seconds, max_frames }) {
  const classes = max_classes ? `, and ${max_classes} classes` : "";
  const pixels = `${(max_pixels / 1e6).toFixed(1)} million pixels`;
  const picture = `A picture may have ${megabytes(max_body)} and ${pixels}${classes}.`;
  if (!max_video_body) return picture;
  return `${picture} A video may have ${megabytes(max_video_body)}, ${max_seconds} s and ${max_frames} frames.`;
}

/** A class that the model was trained on: a click adds it to those to find. */
function hint(name) {
  const add = () => {
    const names = find("classes").value.split(",").map(each => each.trim()).filter(Boolean);
    if (!names.includes(name)) find("classes").value = [...names, name].join(", ");
  };
  return make("button", { type: "button", className: "hint", textContent: name, onclick: add });
}
