/**
 * Results made of what the service has answered, pixel for pixel what it would answer itself; see `tests/services`.
 *
 * A layer is an ImageBitmap; a canvas an OffscreenCanvas of the picture's size.
 */

/**
 * Draw a result.
 *
 * @param drawing {how, level, colour}. `how`: "as-is" (the layer `made`), "transparent", "colour", "picture", "tint".
 *     `level`: 1 to 255, the least level of the map that is kept whole; null keeps the map soft.
 * @param layers name -> layer: `made`; `cutout`, and `whole` with a level; `background`; `photo` and `labels`.
 */
export function paint({ how, level, colour }, layers) {
  if (how === "as-is") return drawn(layers.made);
  if (how === "tint") return tinted(layers.photo, layers.labels);
  const canvas = blank(layers.cutout), context = canvas.getContext("2d");
  if (how === "colour") {
    context.fillStyle = colour;
    context.fillRect(0, 0, canvas.width, canvas.height);
  } else if (how === "picture") {
    cover(context, layers.background);
  }
  context.drawImage(level === null ? layers.cutout : above(level, layers.cutout, layers.whole), 0, 0);
  return canvas;
}

/** The map: the alpha of a cut-out, as Uint8Array of height x width; with a level, 0 and 255 alone. */
export function mapOf(cutout, level) {
  const { data } = pixelsOf(drawn(cutout)), map = new Uint8Array(data.length / 4);
  for (let at = 0; at < map.length; at++) {
    const alpha = data[4 * at + 3];
    map[at] = level === null ? alpha : alpha >= level ? 255 : 0;
  }
  return map;
}

/** A grey picture as a canvas. */
export function greyCanvas(map, width, height) {
  const canvas = new OffscreenCanvas(width, height), pixels = new ImageData(width, height), { data } = pixels;
  for (let at = 0; at < map.length; at++) {
    data[4 * at] = data[4 * at + 1] = data[4 * at + 2] = map[at];
    data[4 * at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** The whole picture where the cut-out's alpha reaches a level, nothing elsewhere. */
function above(level, cutout, whole) {
  const canvas = drawn(whole), pixels = pixelsOf(canvas), map = mapOf(cutout, level);
  for (let at = 0; at < map.length; at++) if (!map[at]) pixels.data[4 * at + 3] = 0;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** The picture in grey, its classes in their colours, as `limelight.media.labels.tinted` mixes them. */
function tinted(photo, labels) {
  const canvas = drawn(labels), tint = pixelsOf(canvas).data, ground = blank(labels);
  ground.getContext("2d").drawImage(photo, 0, 0, ground.width, ground.height);
  const pixels = pixelsOf(ground), { data } = pixels;
  for (let at = 0; at < data.length; at += 4) {
    const grey = (data[at] * 4899 + data[at + 1] * 9617 + data[at + 2] * 1868 + 8192) >> 14;
    const named = tint[at] || tint[at + 1] || tint[at + 2]; // label 0 is black
    for (let channel = at; channel < at + 3; channel++) {
      data[channel] = named ? Math.floor(0.35 * grey + 0.65 * tint[channel]) : grey;
    }
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** Fill the canvas with the largest centred part of a picture that has its proportions. */
function cover(context, picture) {
  const { width, height } = context.canvas;
  const scale = Math.max(width / picture.width, height / picture.height);
  const across = width / scale, down = height / scale;
  const left = (picture.width - across) / 2, top = (picture.height - down) / 2;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, left, top, across, down, 0, 0, width, height);
}

const blank = layer => new OffscreenCanvas(layer.width, layer.height);

function drawn(layer) {
  const canvas = blank(layer);
  // Its pixels are read and written: on the GPU each time would copy them there and back.
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(layer, 0, 0);
  return canvas;
}

const pixelsOf = canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
