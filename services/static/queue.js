/** Pictures are sent one after the other: the service works on one at a time. */

import { thumbnail } from "./drawing.js";
import { problemOf } from "./limits.js";

export class Queue {
  /**
   * @param task `saliency` or `openVocabulary`.
   * @param changed called with each picture whose state has changed.
   */
  constructor(task, changed) {
    this.task = task;
    this.changed = changed;
    this.pictures = [];
    this.limits = undefined; // of the service, once they are known
    this.running = false;
  }

  add(pictures) {
    this.pictures.push(...pictures);
    pictures.forEach(this.changed);
    this.run();
  }

  remove(picture) {
    picture.abort.abort(new Error("removed"));
    this.pictures = this.pictures.filter(each => each !== picture);
  }

  again(picture) {
    picture.reset();
    this.changed(picture);
    this.run();
  }

  async run() {
    if (this.running) return;
    this.running = true;
    for (let next; (next = this.#next()); ) await this.#process(next);
    this.running = false;
  }

  #next() {
    return this.task.ready() ? this.pictures.find(picture => picture.state === "waiting") : undefined;
  }

  async #process(picture) {
    const { signal } = picture.abort; // of this attempt: a picture that is tried again has another
    try {
      this.#set(picture, { state: "sending" });
      await this.#look(picture);
      const problem = await problemOf(picture.files, this.limits);
      if (problem) throw new Error(problem);
      const answer = await this.task.first(picture, share => {
        if (!signal.aborted) this.#set(picture, { sent: share, state: share < 1 ? "sending" : "computing" });
      });
      if (!signal.aborted) this.#set(picture, { state: "done", answer });
    } catch (error) {
      if (!signal.aborted) this.#set(picture, { state: "failed", reason: error.message, status: error.status ?? null });
    }
  }

  /** Make its thumbnail, which tells whether the browser can read it. */
  async #look(picture) {
    if (picture.readable !== null) return;
    if (this.limits && (await problemOf(picture.files, this.limits))) return; // too large to be decoded here either
    picture.small = await thumbnail(picture.file).catch(() => null);
    this.#set(picture, { readable: picture.small !== null });
  }

  #set(picture, facts) {
    Object.assign(picture, facts);
    this.changed(picture);
  }
}
