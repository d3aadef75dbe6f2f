/** PNG files where the canvas does not suffice: grey ones, and their resolution (PNG 1.2). */

const IHDR_END = 33;
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/**
 * Encode a grey picture of 8 bits: the canvas would write four channels.
 *
 * @param levels Uint8Array of height x width.
 * @returns a Blob.
 */
export async function greyPng(levels, width, height) {
  const rows = new Uint8Array(height * (width + 1)); // each row begins with its filter, 0 = none
  for (let y = 0; y < height; y++) rows.set(levels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const deflated = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header[8] = 8;
  const pixels = new Uint8Array(await new Response(deflated).arrayBuffer());
  const chunks = [chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", new Uint8Array())];
  return new Blob([new Uint8Array(SIGNATURE), ...chunks], { type: "image/png" });
}

/** Copy the resolution of one PNG into another, which has none: the canvas forgets it. Both are Blobs. */
export async function withResolutionOf(source, png) {
  const found = resolutionChunk(new Uint8Array(await source.arrayBuffer()));
  return found ? new Blob([png.slice(0, IHDR_END), found, png.slice(IHDR_END)], { type: "image/png" }) : png;
}

function resolutionChunk(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at), name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === "IDAT") break;
    if (name === "pHYs") return bytes.slice(at, at + 12 + length);
    at += 12 + length;
  }
  return null;
}

function chunk(name, content) {
  const bytes = new Uint8Array(12 + content.length), view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...name].map(letter => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
