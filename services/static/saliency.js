/**
 * The page's saliency: what is asked of the service, and what is made of its answers.
 *
 * The cut-out's alpha is the map, and its colours are the object's own, so that any colour and any picture is put
 * behind it here. What a threshold keeps has the picture's colours as the service reads them: those of a cut-out with
 * threshold 0. Blur and overlay, and thresholds of transparent pictures, are asked of the service.
 */

import { opaque } from "./drawing.js";

const CUTOUT = "rgba";

export const saliency = {
  name: "saliency",
  kind: "transparent", // shown at first
  videos: true, // whether the service takes them
  suffix: kind => ({ transparent: "cutout" })[kind] || kind,
  settle() {}, // pictures need no words
  ready: () => true,

  async first(picture, progress) {
    const cutout = await ask(picture, CUTOUT, null, progress);
    if (picture.readable) return cutout;
    return { ...cutout, seen: (await ask(picture, CUTOUT, 0, progress)).blob }; // the picture as the service reads it
  },

  /** What stands left of the handle, as a drawing. */
  async before(picture) {
    if (picture.readable) return asIs(picture.photo);
    return picture.state === "done" ? asIs(layer(await ask(picture, CUTOUT, 0))) : null;
  },

  /**
   * The result as a drawing for `worker.js`.
   *
   * @param look {kind, colour, background: layer or null, level: 1 to 255 or null}.
   * @param patience awaited before the service is asked for a result of its own.
   */
  async drawing(picture, look, patience) {
    const { kind, level, colour, background } = look;
    if (kind === "blur" || kind === "overlay") {
      await patience();
      return asIs(layer(await ask(picture, kind, threshold(level))));
    }
    const layers = await cut(picture, level, patience);
    if (layers.level === null && kind === "transparent") return asIs(layers.cutout);
    const { level: applied, ...rest } = layers;
    if (kind === "map") return { how: "map", level: applied, layers: { cutout: rest.cutout } };
    if (kind === "picture" && background) return { how: "picture", level: applied, layers: { ...rest, background } };
    if (kind === "transparent" || kind === "picture") return { how: "transparent", level: applied, layers: rest };
    return { how: "colour", level: applied, colour, layers: rest };
  },
};

/** The cut-out, and with a level what that is applied to; without one if the service has applied it. */
async function cut(picture, level, patience) {
  const cutout = layer(await ask(picture, CUTOUT, null));
  if (level === null) return { level, cutout };
  const whole = layer(await ask(picture, CUTOUT, 0));
  if (await opaque(whole)) return { level, cutout, whole };
  await patience();
  return { level: null, cutout: layer(await ask(picture, CUTOUT, threshold(level))) };
}

/** The threshold that keeps what rounds to a level of 8 bits or more. */
export const threshold = level => (level === null ? null : (level - 0.5) / 255);

function ask(picture, kind, value, progress) {
  const fields = [["kind", kind], ...(value === null ? [] : [["threshold", String(value)]])];
  return picture.ask("predict", fields, progress);
}

const layer = answer => ({ key: answer.key, blob: answer.blob });
const asIs = made => ({ how: "as-is", level: null, layers: { made } });
