/** The page's side of `worker.js`. */

export const SIDE = 1600; // longest side of what is shown, in pixels
export const THUMBNAIL = 160;

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const pending = new Map();
let calls = 0;
let works = false, broken = null; // whether it has answered yet; why it cannot be used

worker.onmessage = ({ data: { id, result, error } }) => {
  works = true;
  const call = pending.get(id); // none if it was given up
  pending.delete(id);
  if (error === undefined) call?.resolve(result);
  else call?.reject(new Error(error));
};

worker.onerror = () => {
  const error = new Error("this browser cannot draw the result; a newer one can");
  if (!works) broken = error; // it was not loaded
  for (const { reject } of pending.values()) reject(error);
  pending.clear();
};

function call(name, facts) {
  if (broken) return Promise.reject(broken);
  return new Promise((resolve, reject) => {
    pending.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, name, facts });
  });
}

/** @returns an ImageBitmap; rejected where the browser cannot read the file. */
export const thumbnail = blob => call("thumbnail", { blob, side: THUMBNAIL });

const opaqueness = new Map();

/** @returns whether a layer {key, blob} has no transparent pixel; looked at once. */
export function opaque(layer) {
  const { key } = layer;
  if (!opaqueness.has(key)) {
    const looked = call("opaque", { layer, side: SIDE });
    opaqueness.set(key, looked);
    looked.catch(() => opaqueness.delete(key)); // to be looked at again
  }
  return opaqueness.get(key);
}

/** @returns the result as a PNG, a Blob. */
export const file = drawing => call("file", { drawing });

/** @returns a drawing as it is shown, an ImageBitmap. */
export const show = drawing => call("show", { drawing, side: SIDE });

let running = null, next = null;

/**
 * As `show`, for drawings that follow each other quickly: while one is made, only the last of the others waits.
 *
 * @returns an ImageBitmap; null if a later drawing took its place.
 */
export function showLatest(drawing) {
  if (running) {
    next?.resolve(null);
    return new Promise((resolve, reject) => { next = { drawing, resolve, reject }; });
  }
  running = show(drawing);
  return running.finally(() => {
    const waiting = next;
    running = next = null;
    if (waiting) showLatest(waiting.drawing).then(waiting.resolve, waiting.reject);
  });
}
