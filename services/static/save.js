/** Results leave the page: as a download, or by the clipboard. */

import { make } from "./dom.js";

export function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Browsers offer the clipboard for pictures only over HTTPS, and on the machine itself. */
export const canCopy = Boolean(navigator.clipboard?.write && window.ClipboardItem);

/** @param blob promise of a PNG: Safari wants the clipboard to be asked for at once. */
export const copy = blob => navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
