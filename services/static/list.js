/** The list of pictures and videos: each with its state, to be opened, tried again or removed. */

import { duration, find, make } from "./dom.js";

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
    item.row.dataset.state = picture.state;
    item.state.textContent = this.#text(picture);
    item.bar.hidden = !picture.underWay;
    showShare(item.bar, picture);
    item.again.hidden = !picture.retryable;
    if (picture.small) drawThumbnail(item.thumbnail, picture);
  }

  /** Mark the picture that is open; null if none is. */
  mark(opened) {
    for (const [picture, { open }] of this.items) {
      if (picture === opened) open.setAttribute("aria-current", "true");
      else open.removeAttribute("aria-current");
    }
  }

  focus(picture) {
    this.items.get(picture).open.focus();
  }

  remove(picture) {
    const { row } = this.items.get(picture), near = row.nextElementSibling ?? row.previousElementSibling;
    const focused = row.contains(document.activeElement);
    row.remove();
    if (focused) (near?.querySelector(".remove") ?? find("file")).focus();
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

  #text({ state, reason, answer, doing }) {
    if (state === "waiting" && !this.task.ready()) return "waiting for the names of classes";
    if (doing) return doing;
    return state === "failed" ? reason : duration(answer.spent);
  }

  #count() {
    find("pictures").hidden = this.items.size === 0;
    find("count").textContent = this.items.size;
  }
}

/** How much is sent or received; how far the service has computed is not known. */
export function showShare(bar, { state, share }) {
  if (share !== null && (state === "sending" || state === "receiving")) bar.value = share;
  else bar.removeAttribute("value");
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
