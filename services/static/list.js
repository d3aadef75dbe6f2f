/** The list of pictures and videos: each with its state, to be opened, tried again or removed. */

import { duration, find, make } from "./dom.js";

/** Whether a failure may pass: no answer, a token that was missing, a stalled upload, or a fault of the service. */
const transient = status => [0, 401, 408, 429].includes(status) || (status >= 500 && status !== 501);

export class List {
  /** @param actions {open, again, remove}, each called with a picture. */
  constructor(task, actions) {
    this.task = task;
    this.actions = actions;
    this.items = new Map();
  }

  /** Show a picture's state. */
  update(picture) {
    const item = this.items.get(picture) || this.#add(picture);
    const { state, sent } = picture;
    item.row.dataset.state = state;
    item.state.textContent = this.#text(picture);
    item.bar.hidden = state !== "sending" && state !== "computing";
    if (state === "sending") item.bar.value = sent;
    else item.bar.removeAttribute("value"); // how far it has computed is not known
    item.again.hidden = state !== "failed" || !transient(picture.status);
    if (picture.small) drawThumbnail(item.thumbnail, picture);
  }

  /** Mark the picture that is open; null if none is. */
  mark(opened) {
    for (const [picture, { open }] of this.items) {
      if (picture === opened) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
    }
  }

  remove(picture) {
    const { row } = this.items.get(picture), near = row.nextElementSibling ?? row.previousElementSibling;
    const focused = row.contains(document.activeElement);
    row.remove();
    if (focused) (near?.querySelector(".remove") ?? find("start").querySelector("input")).focus();
    this.items.delete(picture);
    this.#count();
  }

  #add(picture) {
    const thumbnail = make("canvas", { width: 56, height: 56 });
    const state = make("span", { className: "state" }), bar = make("progress", { max: 1, hidden: true });
    const name = make("span", { className: "name", textContent: picture.name, title: picture.name });
    const open = this.#button("open", "", () => this.actions.open(picture));
    open.append(thumbnail, make("span", { className: "facts" }, name, state, bar));
    bar.setAttribute("aria-label", `progress of ${picture.name}`);
    const again = this.#button("again", "Try again", () => this.actions.again(picture));
    again.setAttribute("aria-label", `Try ${picture.name} again`);
    const remove = this.#button("remove", "×", () => this.actions.remove(picture));
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    const row = make("li", {}, open, again, remove), item = { row, open, thumbnail, state, bar, again };
    find("list").append(row);
    this.items.set(picture, item);
    this.#count();
    return item;
  }

  #button(className, textContent, onclick) {
    return make("button", { type: "button", className, textContent, onclick });
  }

  #text({ state, sent, reason, answer, doing }) {
    if (doing) return doing;
    if (state === "waiting") return this.task.ready() ? "waiting" : "waiting for the names of classes";
    if (state === "sending") return sent ? `sending, ${Math.round(100 * sent)} %` : "reading";
    if (state === "computing") return "computing";
    return state === "failed" ? reason : duration(answer.spent);
  }

  #count() {
    find("pictures").hidden = this.items.size === 0;
    find("count").textContent = this.items.size;
  }
}

function drawThumbnail(canvas, picture) {
  const { small } = picture, scale = Math.max(canvas.width / small.width, canvas.height / small.height);
  const across = canvas.width / scale, down = canvas.height / scale;
  const left = (small.width - across) / 2, top = (small.height - down) / 2, context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, left, top, across, down, 0, 0, canvas.width, canvas.height);
  small.close();
  picture.small = null; // drawn once
}
