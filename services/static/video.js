/** One video of the list: what is made of it, and how far that is. The service draws it whole, as the look then is. */

import { duration } from "./dom.js";
import { THUMBNAIL } from "./drawing.js";
import { Picture } from "./picture.js";
import { threshold } from "./saliency.js";
import { post } from "./service.js";

const SUFFIXES = /\.(3gp|avi|flv|m4v|mkv|mov|mp4|mpe?g|mts|ogv|ts|webm|wmv)$/i;
const FRAME_MS = 5000;

/** Whether a file is a video; not all systems know the type of each. */
export const isVideo = file => file.type.startsWith("video/") || (!file.type && SUFFIXES.test(file.name));

/** What input elements accept besides pictures. */
export const ACCEPTED = "video/*,.flv,.mkv,.mts,.ts";

export class Video extends Picture {
  /** @param file its File. */
  constructor(file) {
    super(file);
    this.state = "idle"; // until it is to be made: that takes as long as it lasts, or longer
    this.fields = [];
    this.look = null; // that it was made with
    this.since = 0; // when the service had all of it
  }

  get moving() {
    return true;
  }

  get files() {
    return [this.file, ...this.fields.map(([, value]) => value).filter(value => value instanceof File)];
  }

  get doing() {
    if (this.state === "idle") return "not made yet";
    if (this.state === "computing") return `computing for ${duration(performance.now() - this.since)}`;
    return super.doing;
  }

  /**
   * Let it be made, by the queue.
   *
   * @param look see `look.look`.
   */
  want(look) {
    this.fields = fieldsOf(look);
    this.look = look;
    this.reset();
  }

  /** Make it no longer; the file stays. */
  stop() {
    this.reset();
    this.state = "idle";
  }

  /** Have it made. @returns the answer of `post`. */
  made(progress) {
    const watch = (state, share) => {
      if (state === "computing") this.since = performance.now();
      progress(state, share);
    };
    // Not sent again by itself: it may be large, and others that wait take minutes. So may this one, in silence; the
    // service ends what takes too long, and a person can stop it.
    const { signal } = this.abort, facts = { progress: watch, signal, tries: 1, patience: Infinity };
    return post("video", [["video", this.file], ...this.fields], facts);
  }

  /** The file that the service made, as {blob, name}. */
  result(name) {
    const { blob } = this.answer;
    return { blob, name: `${name}.${blob.type === "video/webm" ? "webm" : "mp4"}` };
  }
}

/** A look as the form's fields: pairs of name and value. */
function fieldsOf({ kind, colour, background, level }) {
  const hard = level === null ? [] : [["threshold", String(threshold(level))]];
  if (kind === "transparent") return [["kind", "rgba"], ["format", "webm"], ...hard]; // which browsers play
  if (kind === "colour") return [["kind", colour], ...hard];
  if (kind !== "picture") return [["kind", kind], ...hard];
  if (!background) throw new Error("choose a picture for the background first");
  return [["background", background.blob], ...hard];
}

/** A frame near the beginning, small, an ImageBitmap; null where the browser cannot play the file. */
export async function firstFrame(file) {
  const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto" });
  try {
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = reject;
      setTimeout(reject, FRAME_MS); // some never say that they cannot
      video.src = URL.createObjectURL(file);
    });
    return await createImageBitmap(video, { resizeWidth: THUMBNAIL, resizeQuality: "high" });
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(video.src);
  }
}
