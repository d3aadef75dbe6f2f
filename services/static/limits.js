/** Files that the service would refuse by their size are not sent. */

import { megabytes } from "./dom.js";

const FORM_BYTES = 1024; // around a file: boundaries, names and short texts

/** Why a video, and the picture behind it, cannot be sent, as `problemOf` says it of pictures. */
export function videoProblem(files, limits) {
  return limits ? tooManyBytes(files, limits.max_video_body) : null;
}

/**
 * Why files cannot be sent together, in a sentence; null if they can.
 *
 * @param limits {max_body: bytes, max_pixels} of the service; undefined while they are not known.
 */
export async function problemOf(files, limits) {
  if (!limits) return null;
  const problem = tooManyBytes(files, limits.max_body);
  if (problem) return problem;
  for (const file of files) {
    const { width, height } = await sizeOf(file);
    if (width * height > limits.max_pixels) {
      const limit = (limits.max_pixels / 1e6).toFixed(1);
      return `not sent: ${width} × ${height} pixels, this server takes at most ${limit} million`;
    }
  }
  return null;
}

function tooManyBytes(files, most) {
  const bytes = files.reduce((sum, file) => sum + file.size + FORM_BYTES, 0);
  return bytes > most ? `not sent: ${megabytes(bytes)}, this server takes at most ${megabytes(most)}` : null;
}

/** By the picture's header alone, nothing is decoded; 0 × 0 for what a browser cannot read: the service may. */
function sizeOf(file) {
  return new Promise(resolve => {
    const image = new Image();
    const done = () => {
      URL.revokeObjectURL(image.src);
      resolve({ width: image.naturalWidth, height: image.naturalHeight });
    };
    image.onload = image.onerror = done;
    image.src = URL.createObjectURL(file);
  });
}
