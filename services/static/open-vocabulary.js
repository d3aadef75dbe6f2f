/** The page's open-vocabulary segmentation: what is asked of the service, and what is made of its answers. */

import { find } from "./dom.js";
import { opaque } from "./drawing.js";

export const openVocabulary = {
  name: "open-vocabulary",
  kind: "overlay", // shown at first
  videos: false,
  suffix: kind => kind,
  prompts: [["classes", ""]], // those of now: names that are being typed are not asked for yet

  /** Take the names as they stand in their fields. */
  settle() {
    this.prompts = ["classes", "background"].map(name => [name, find(name).value]);
  },

  ready() {
    return this.prompts[0][1].trim() !== "";
  },

  async first(picture, progress) {
    picture.prompts = this.prompts;
    const answer = await picture.ask("segment", [...picture.prompts, ["kind", "json"]], progress);
    const { classes, labels } = JSON.parse(await answer.blob.text());
    const bytes = Uint8Array.from(atob(labels), letter => letter.charCodeAt(0));
    const blob = new Blob([bytes], { type: "image/png" });
    return { ...answer, seen: blob, classes, labels: { key: `${answer.key} labels`, blob } };
  },

  async before(picture) {
    return picture.readable ? asIs(picture.photo) : null;
  },

  async drawing(picture, { kind }, patience) {
    const { labels } = picture.answer;
    if (kind === "labels") return asIs(labels);
    if (picture.readable && (await opaque(picture.photo))) {
      return { how: "tint", level: null, layers: { photo: picture.photo, labels } };
    }
    await patience();
    const { key, blob } = await picture.ask("segment", [...picture.prompts, ["kind", "overlay"]]);
    return asIs({ key, blob });
  },
};

const asIs = made => ({ how: "as-is", level: null, layers: { made } });
