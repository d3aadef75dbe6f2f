/** Pictures are sent one after the other, so that the first is there soon; and so are videos, beside them. */

import { thumbnail } from "./drawing.js";
import { problemOf, videoProblem } from "./limits.js";
import { firstFrame } from "./video.js";

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
    this.running = { true: false, false: false }; // of videos, of pictures
  }

  /** Add pictures, which wait until it runs. */
  add(pictures) {
    this.pictures.push(...pictures);
    pictures.forEach(this.changed);
    for (const picture of pictures) if (picture.state === "idle") this.#look(picture);
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

  run() {
    return Promise.all([this.#run(false), this.#run(true)]);
  }

  async #run(moving) {
    if (this.running[moving]) return;
    this.running[moving] = true;
    try {
      for (let next; (next = this.#next(moving)); ) await this.#process(next);
    } finally {
      this.running[moving] = false;
    }
  }

  #next(moving) {
    const waits = picture => picture.moving === moving && picture.state === "waiting";
    return this.task.ready() ? this.pictures.find(waits) : undefined;
  }

  async #process(picture) {
    const { signal } = picture.abort; // of this attempt: a picture that is tried again has another
    try {
      this.#set(picture, { state: "sending" });
      await this.#look(picture);
      const problem = await this.#problem(picture);
      if (problem) throw new Error(problem);
      const progress = (state, share) => {
        if (!signal.aborted) this.#set(picture, { state, share });
      };
      const answer = await (picture.moving ? picture.made(progress) : this.task.first(picture, progress));
      const small = picture.readable ? null : await smallOf(picture, answer.seen ?? answer.blob);
      if (!signal.aborted) this.#set(picture, { state: "done", answer, small });
      else small?.close();
    } catch (error) {
      if (!signal.aborted) this.#set(picture, { state: "failed", reason: error.message, status: error.status ?? null });
    }
  }

  /** Make its thumbnail, which tells whether the browser can read it. */
  async #look(picture) {
    if (picture.readable !== null) return;
    if (this.limits && (await this.#problem(picture))) return; // too large to be decoded here either
    picture.small = await smallOf(picture, picture.file);
    this.#set(picture, { readable: picture.small !== null });
  }

  #problem({ moving, files }) {
    return (moving ? videoProblem : problemOf)(files, this.limits);
  }

  #set(picture, facts) {
    Object.assign(picture, facts);
    this.changed(picture);
  }
}

/** A small picture of a file, an ImageBitmap; null where the browser cannot read it. */
const smallOf = ({ moving }, blob) => (moving ? firstFrame(blob) : thumbnail(blob).catch(() => null));
