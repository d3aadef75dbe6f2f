/** Decoding, drawing and encoding of pictures, away from the page, which would stand still meanwhile. */

import { greyCanvas, mapOf, paint } from "./paint.js";
import { greyPng, withResolutionOf } from "./png.js";

const MAX_KEPT = 8;
const kept = new Map(); // decoded previews by key, the last used last
const dropped = []; // previews that are kept no longer, but that a task under way may be drawing
let underWay = 0;

const tasks = {
  /** A small picture for the list. @returns an ImageBitmap. */
  thumbnail: ({ blob, side }) => decode(blob, side),

  /** Whether a picture has no transparent pixel. */
  async opaque({ layer, side }) {
    return mapOf(await preview(layer, side), null).every(alpha => alpha === 255);
  },

  /**
   * A result as it is shown, at most `side` pixels wide and high. @returns an ImageBitmap.
   *
   * A drawing is that of `paint`, or the map, with its layers as {key, blob}, none of them twice the same key.
   */
  async show({ drawing, side }) {
    const layers = await each(drawing.layers, layer => preview(layer, side));
    return canvasOf(drawing, layers).transferToImageBitmap();
  },

  /** A result as a file, whole. @returns a Blob. */
  async file({ drawing }) {
    if (drawing.how === "as-is") return drawing.layers.made.blob;
    const layers = await each(drawing.layers, layer => decode(layer.blob));
    const { cutout, labels } = drawing.layers;
    try {
      return await withResolutionOf((cutout || labels).blob, await encoded(drawing, layers));
    } finally {
      Object.values(layers).forEach(layer => layer.close());
    }
  },
};

const canvasOf = (drawing, layers) => {
  if (drawing.how !== "map") return paint(drawing, layers);
  return greyCanvas(mapOf(layers.cutout, drawing.level), layers.cutout.width, layers.cutout.height);
};

function encoded(drawing, layers) {
  if (drawing.how !== "map") return paint(drawing, layers).convertToBlob({ type: "image/png" });
  return greyPng(mapOf(layers.cutout, drawing.level), layers.cutout.width, layers.cutout.height);
}

async function each(layers, made) {
  const pairs = Object.entries(layers).map(async ([name, layer]) => [name, await made(layer)]);
  return Object.fromEntries(await Promise.all(pairs));
}

async function preview({ key, blob }, side) {
  const bitmap = kept.get(key) || (await decode(blob, side));
  if (kept.get(key) !== bitmap) drop(key); // another task has decoded it meanwhile
  kept.delete(key);
  kept.set(key, bitmap);
  if (kept.size > MAX_KEPT) drop(kept.keys().next().value);
  return bitmap;
}

function drop(key) {
  if (kept.has(key)) dropped.push(kept.get(key));
  kept.delete(key);
}

async function decode(blob, side = Infinity) {
  const whole = await createImageBitmap(blob);
  const scale = side / Math.max(whole.width, whole.height);
  if (scale >= 1) return whole;
  const [resizeWidth, resizeHeight] = [whole.width, whole.height].map(each => Math.max(1, Math.round(each * scale)));
  try {
    return await createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
  } finally {
    whole.close();
  }
}

self.onmessage = async ({ data: { id, name, facts } }) => {
  underWay++;
  try {
    const result = await tasks[name](facts);
    self.postMessage({ id, result }, result instanceof ImageBitmap ? [result] : []);
  } catch (error) {
    self.postMessage({ id, error: error.message });
  } finally {
    if (--underWay === 0) dropped.splice(0).forEach(preview => preview.close());
  }
};
