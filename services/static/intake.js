/** Ways of files into the page: chosen, dropped, pasted, and the examples. */

import { find } from "./dom.js";

const TYPED = "#ask input:not([type=file])"; // fields for text

/**
 * @param take called with a list of Files, or with {name, reason} in place of one that is none.
 * @param none called with why a drop brought no file.
 */
export function watchIntake(take, none) {
  for (const input of document.querySelectorAll("input[type=file].pictures")) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  watchDrops(take, none);
  document.addEventListener("paste", event => {
    const { files: pasted, types } = event.clipboardData, files = [...pasted];
    if (!files.length) return; // text, for a field
    if (event.target.matches?.(TYPED) && types.includes("text/plain")) return; // Word adds a picture of the text
    event.preventDefault();
    take(files);
  });
  for (const button of document.querySelectorAll("button.example")) {
    button.addEventListener("click", async () => take([await example(button)]));
  }
}

function watchDrops(take, none) {
  const over = is => document.body.classList.toggle("over", is);
  const text = event => event.target.matches?.(TYPED) && !event.dataTransfer.types.includes("Files"); // for a field
  // Both: where the element under the pointer has just changed, a drop counts if its "dragenter" was accepted.
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, event => {
      if (text(event)) return;
      event.preventDefault();
      over(event.dataTransfer.types.includes("Files"));
    });
  }
  document.addEventListener("dragleave", event => event.relatedTarget === null && over(false));
  document.addEventListener("drop", event => {
    if (text(event)) return;
    event.preventDefault();
    over(false);
    const files = filesOf(event.dataTransfer);
    if (files.length) take(files);
    else none("that is a link, not a file; save the picture first");
  });
}

/** A folder comes as a file that cannot be read. */
function filesOf(transfer) {
  const folders = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(entry => entry?.isDirectory);
  const names = new Set(folders.map(folder => folder.name));
  const files = [...transfer.files].filter(file => !names.has(file.name));
  return [...files, ...[...names].map(name => ({ name, reason: "is a folder; drop the pictures in it" }))];
}

/** An example as a File; {name, reason} where it cannot be fetched. */
async function example({ dataset: { name, classes } }) {
  try {
    const answer = await fetch(`static/examples/${name}`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const file = new File([await answer.blob()], name, { type: "image/jpeg" });
    if (find("classes").value === "") find("classes").value = classes;
    return file;
  } catch (error) {
    return { name, reason: `cannot be fetched (${error.message})` };
  }
}
