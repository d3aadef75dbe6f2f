/** The picture that is open: before and after, its times, notes and classes. */

import { Compare } from "./compare.js";
import { duration, find, make, pause } from "./dom.js";
import { show, showLatest } from "./drawing.js";
import { showShare } from "./list.js";
import { Player } from "./player.js";

const PATIENCE_MS = 300;
const STEPS = {
  read: "reading", pre: "preparing", net: "network", post: "finishing", draw: "drawing", encode: "encoding",
};

export class Viewer {
  /**
   * @param task `saliency` or `openVocabulary`.
   * @param look returns how the result is to look.
   */
  constructor(task, look) {
    this.task = task;
    this.look = look;
    this.picture = null;
    this.turn = 0; // counts what was asked for, so that what comes late is not shown
    this.player = new Player(find("clip"));
    new Compare(find("frame"), find("handle"));
  }

  /** Open a picture, or the same one again after its state has changed; null closes it. */
  async open(picture) {
    const other = picture !== this.picture;
    this.picture = picture;
    find("viewer").hidden = picture === null;
    find("start").hidden = picture !== null;
    if (other) {
      this.turn++; // what was asked for the other one comes too late
      this.#clear();
    }
    if (!picture?.moving) this.player.show(null);
    if (picture === null) return;
    this.describe();
    if (picture.moving) return this.player.show(picture);
    this.#showBefore(picture);
    await this.refresh();
  }

  /** Draw the result anew. @param moving whether a control is still being moved. */
  async refresh(moving = false) {
    const { picture } = this, turn = ++this.turn;
    if (picture?.state !== "done" || picture.moving) return;
    const current = () => turn === this.turn;
    const patience = async () => {
      if (moving) await pause(PATIENCE_MS);
      if (!current()) throw new Error("another result was asked for");
    };
    const busy = setTimeout(() => current() && this.#busy(true), 150);
    try {
      const drawing = await this.task.drawing(picture, this.look(), patience);
      const bitmap = current() ? await showLatest(drawing) : null;
      if (bitmap && current()) this.#showAfter(bitmap, "");
      else bitmap?.close();
    } catch (error) {
      if (current()) this.#showAfter(null, error.message);
    } finally {
      clearTimeout(busy);
      if (current()) this.#busy(false);
    }
  }

  async #showBefore(picture) {
    const known = `${picture.id} ${picture.readable} ${picture.state === "done"}`;
    if (this.before || known === this.tried) return;
    this.tried = known; // once for what is known of the picture, not at every step of its progress
    const drawing = await this.task.before(picture).catch(() => null);
    const bitmap = drawing && (await show(drawing).catch(() => null));
    if (!bitmap || picture !== this.picture) return bitmap?.close();
    this.before = true;
    this.#fit(bitmap);
    put(find("before"), bitmap);
    find("before").hidden = find("frame").hidden = false;
    this.#divide();
  }

  #showAfter(bitmap, problem) {
    find("problem").textContent = problem;
    if (!bitmap) return;
    const { kind } = this.look();
    this.#fit(bitmap);
    find("after").classList.toggle("checked", kind === "transparent" || kind === "picture");
    find("result").setAttribute("aria-label", `${this.picture.name}: ${kind}`);
    put(find("result"), bitmap);
    find("after").hidden = find("frame").hidden = false;
    this.#divide();
  }

  #divide() { // whichever of the two is drawn first
    find("frame").classList.toggle("divided", this.before && !find("after").hidden);
  }

  #clear() {
    this.before = false;
    this.tried = null;
    for (const id of ["before", "after"]) find(id).hidden = true;
    find("frame").classList.remove("divided");
    find("problem").textContent = "";
  }

  #busy(is) {
    find("frame").classList.toggle("busy", is);
    find("frame").setAttribute("aria-busy", is);
  }

  #fit({ width, height }) { // all of a picture's drawings have one size
    find("frame").style.setProperty("--width", width);
    find("frame").style.setProperty("--height", height);
  }

  /** Show what is known of the picture, in words. */
  describe() {
    const { name, state, reason, answer, moving, doing, underWay } = this.picture;
    find("name").textContent = name;
    find("times").textContent = answer ? times(answer) : doing;
    find("problem").textContent = reason;
    find("frame").hidden = moving || (state === "failed" && !this.before); // there is nothing to show
    find("making").hidden = !moving || !underWay;
    showShare(find("making"), this.picture);
    find("notes").replaceChildren(...(answer?.notes || []).map(note => make("li", { textContent: note })));
    find("legend").replaceChildren(...(answer?.classes || []).map(legendItem));
    this.#busy(underWay);
  }
}

const put = (canvas, bitmap) => canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);

/** "120 ms in all: network 83 ms, ...": as the browser saw it, the parts that the service reports, and the rest. */
function times({ spent, steps, frames }) {
  const known = Object.entries(steps), rest = spent - known.reduce((sum, [, ms]) => sum + ms, 0);
  const parts = known.map(([name, ms]) => `${STEPS[name] || name} ${duration(ms)}`);
  if (known.length && rest >= 0.5) parts.push(`transfer and waiting ${duration(rest)}`);
  if (frames) parts.push(`${frames} frames`);
  return `${duration(spent)} in all${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

function legendItem({ name, colour, share }) {
  const mark = make("i");
  mark.style.background = colour;
  return make("li", { className: share ? "" : "none" }, mark, ` ${name} ${(100 * share).toFixed(1)} %`);
}
