/** The video that is open: as it came, and once it is made the result. */

import { find } from "./dom.js";
import { lookName } from "./look.js";

export class Player {
  /** @param element a <video>. */
  constructor(element) {
    this.element = element;
    this.shown = null; // the Blob that plays
    element.addEventListener("error", () => this.#fail());
  }

  /** Show a `Video`; null shows none. */
  show(video) {
    const result = video?.answer?.blob, blob = result || video?.file || null;
    if (blob === this.shown) return;
    this.shown = blob;
    this.made = Boolean(result);
    URL.revokeObjectURL(this.element.src);
    this.element.hidden = blob === null;
    if (blob === null) {
      this.element.removeAttribute("src");
      this.element.load(); // ends what played
      return;
    }
    this.element.src = URL.createObjectURL(blob);
    this.element.classList.toggle("checked", this.made && video.look.kind === "transparent");
    this.element.setAttribute("aria-label", `${video.name}: ${this.made ? lookName(video.look) : "as it came"}`);
  }

  #fail() {
    if (this.shown === null) return;
    this.element.hidden = true;
    if (this.made) find("problem").textContent = "this browser cannot play the result; download it";
  }
}
