/** One picture of the list, and what the service has answered about it. */

import { passing, post } from "./service.js";

const MAX_ANSWERS = 8;
let count = 0;

export class Picture {
  /**
   * @param file its File.
   * @param companion fields of its depth or thermal picture, pairs of name and value; empty without one.
   */
  constructor(file, companion = []) {
    this.id = `picture-${++count}`;
    this.file = file;
    this.companion = companion;
    this.state = "waiting"; // then those of `post`'s progress, and "done" or "failed"
    this.share = 0; // that is sent or received, 0 to 1; null = not known
    this.reason = ""; // why it failed, or why its last other result did
    this.status = null; // HTTP status of the failure
    this.answer = null; // the service's first answer
    this.readable = null; // whether the browser can decode the file; null = not tried yet
    this.refused = false; // whether it is none, with `reason`, and is never sent
    this.abort = new AbortController();
    this.answers = new Map();
  }

  get name() {
    return this.file.name;
  }

  get files() {
    return [this.file, ...this.companion.map(([, value]) => value).filter(value => value instanceof File)];
  }

  /** The picture as it came, as a layer of a drawing. */
  get photo() {
    return { key: `${this.id} photo`, blob: this.file };
  }

  /**
   * Ask the service for a result, once.
   *
   * @param fields pairs of name and text, besides the picture's own.
   * @returns the answer of `post`, with `key`, which names it among all answers.
   */
  ask(path, fields, progress) {
    const key = `${this.id} ${path} ${JSON.stringify(fields)}`;
    if (!this.answers.has(key)) {
      const form = [["image", this.file], ...this.companion, ...fields];
      const asked = post(path, form, { progress, signal: this.abort.signal }).then(answer => ({ ...answer, key }));
      asked.catch(() => { // so that it can be tried again
        if (this.answers.get(key) === asked) this.answers.delete(key);
      });
      this.answers.set(key, asked);
      this.#forget();
    }
    return this.answers.get(key);
  }

  /** Whether a request for it is being worked on. */
  get underWay() {
    return ["sending", "computing", "receiving", "busy"].includes(this.state);
  }

  /** What is being done with it, in a few words; "" where there is an answer or a failure. */
  get doing() {
    const percent = `${Math.round(100 * this.share)} %`;
    const words = {
      waiting: "waiting",
      sending: this.share ? `sending, ${percent}` : "reading",
      computing: "computing",
      receiving: this.share === null ? "receiving" : `receiving, ${percent}`,
      busy: "the server is busy; trying again",
    };
    return words[this.state] ?? "";
  }

  /** Whether it has failed for what may pass, or for a token that was missing. */
  get retryable() {
    return this.state === "failed" && (this.status === 401 || passing(this.status));
  }

  /** Whether it is a video. */
  get moving() {
    return false;
  }

  /** Forget all answers, to ask anew. */
  reset() {
    this.abort.abort(new Error("stopped"));
    this.abort = new AbortController();
    this.answers.clear();
    Object.assign(this, { state: "waiting", share: 0, reason: "", status: null, answer: null });
  }

  #forget() {
    if (this.answers.size <= MAX_ANSWERS) return;
    const [, second] = this.answers.keys(); // the first is what everything is made of
    this.answers.delete(second);
  }
}
