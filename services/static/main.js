/** The page: its parts, and what connects them. */

import { find, stem } from "./dom.js";
import { file } from "./drawing.js";
import { watchIntake } from "./intake.js";
import { List } from "./list.js";
import { look, lookName, watchLook } from "./look.js";
import { showModel } from "./model.js";
import { openVocabulary } from "./open-vocabulary.js";
import { Picture } from "./picture.js";
import { Queue } from "./queue.js";
import { saliency } from "./saliency.js";
import { canCopy, copy, download } from "./save.js";
import { describe, useToken } from "./service.js";
import { ACCEPTED, isVideo, Video } from "./video.js";
import { Viewer } from "./viewer.js";

const takes = document.documentElement.dataset.takes.split(" ");
const task = takes.includes("open-vocabulary") ? openVocabulary : saliency;

const say = text => { find("status").textContent = text; };

const queue = new Queue(task, changed);
const list = new List(task, { open, again, remove });
const viewer = new Viewer(task, look);

function changed(picture) {
  if (!queue.pictures.includes(picture)) return; // removed meanwhile
  list.update(picture);
  if (picture === viewer.picture) open(picture);
  if (picture.state === "done") say(`${picture.name} is done`);
  if (picture.state === "failed") say(`${picture.name}: ${picture.reason}`);
  showActions();
}

function open(picture) {
  viewer.open(picture);
  list.mark(picture);
  showActions();
}

function remove(picture) {
  const place = queue.pictures.indexOf(picture);
  queue.remove(picture);
  if (picture === viewer.picture) open(queue.pictures[place] || queue.pictures[place - 1] || null);
  list.remove(picture);
  showActions();
}

function again(picture) {
  if (picture.moving) makeVideo(picture);
  else queue.again(picture);
}

function showActions() {
  const done = queue.pictures.filter(picture => picture.state === "done");
  const shown = viewer.picture?.state === "done";
  find("save").disabled = !shown;
  find("copy").disabled = !shown || !canCopy || viewer.picture.moving;
  find("make").hidden = !viewer.picture?.moving;
  find("make").disabled = ["waiting", "sending", "computing"].includes(viewer.picture?.state);
  find("make").textContent = shown ? "Make the video again" : "Make the video";
  find("save-all").hidden = done.length < 2;
  find("panel").hidden = viewer.picture === null;
}

/** Add files to the list, or what is none with its reason; the first of them is opened. */
async function take(files) {
  await introduced; // what the service takes is known then
  task.settle();
  const first = files.find(each => each instanceof File && !isVideo(each)), companion = first ? companions() : [];
  const pictures = files.map(each => {
    if (!(each instanceof File)) return failed(each);
    if (!isVideo(each)) return new Picture(each, each === first ? companion : []);
    return task.videos ? new Video(each) : failed({ name: each.name, reason: "is a video; this service takes none" });
  });
  queue.add(pictures);
  if (pictures.length) open(pictures[0]);
  if (!task.ready()) find("classes").focus();
}

/** What is not sent at all, in the list with its reason. */
function failed({ name, reason }) {
  return Object.assign(new Picture(new File([], name)), { state: "failed", reason, refused: true });
}

/** The fields of the depth or thermal picture that was chosen for the next picture. */
function companions() {
  const inputs = [...document.querySelectorAll("[data-modality] input")].filter(input => input.files.length);
  const fields = inputs.flatMap(({ files, parentElement }) => [
    ["companion", files[0]],
    ["modality", parentElement.dataset.modality],
  ]);
  for (const input of inputs) input.value = "";
  return fields;
}

/** The result of a picture as the look of now has it: {blob, name}. */
async function result(picture) {
  if (picture.moving) return picture.result(`${stem(picture.name)}-${task.suffix(lookName(picture.look))}`);
  const wanted = look(), drawing = await task.drawing(picture, wanted, async () => {});
  return { blob: await file(drawing), name: `${stem(picture.name)}-${task.suffix(lookName(wanted))}.png` };
}

async function save(picture) {
  const { blob, name } = await result(picture);
  download(blob, name);
  say(`${name} is saved`);
}

/** Run what a button starts; say why if it fails. */
const acting = action => async () => {
  try {
    await action();
  } catch (error) {
    find("problem").textContent = error.message;
    say(error.message);
  }
};

/** Send a video, to be made as the look is now. */
function makeVideo(video) {
  try {
    video.want(look());
  } catch (error) {
    find("problem").textContent = error.message;
    say(error.message);
    return;
  }
  changed(video);
  queue.run();
}

setInterval(() => { // how long the service has been at it
  for (const video of queue.pictures.filter(each => each.moving && each.state === "computing")) {
    list.update(video);
    if (video === viewer.picture) viewer.describe();
  }
}, 1000);

find("make").addEventListener("click", () => makeVideo(viewer.picture));
find("save").addEventListener("click", acting(() => save(viewer.picture)));
find("save-all").addEventListener("click", acting(async () => {
  const problems = [];
  for (const picture of queue.pictures.filter(each => each.state === "done")) {
    await save(picture).catch(error => problems.push(`${picture.name}: ${error.message}`));
  }
  if (problems.length) throw new Error(problems.join("; "));
}));
find("copy").addEventListener("click", acting(async () => {
  await copy(result(viewer.picture).then(({ blob }) => blob));
  say("the picture is in the clipboard");
}));
if (!canCopy) find("copy").title = "Browsers allow this over HTTPS, or on the machine that serves";

find("ask").addEventListener("submit", event => {
  event.preventDefault();
  task.settle();
  if (task.ready() && document.activeElement !== find("token")) findAgain();
});

/** Send the open picture with the classes of now, and those that have waited for some. */
function findAgain() {
  const { picture } = viewer, other = picture && picture.state !== "waiting" && !picture.refused;
  if (other) queue.again(picture); // the same picture, other classes
  queue.pictures.forEach(each => list.update(each));
  queue.run();
}

let introduced = introduce();
find("token").addEventListener("change", ({ target }) => {
  useToken(target.value);
  introduced = introduce().then(() => {
    for (const picture of queue.pictures) if (picture.status === 401) again(picture);
  });
});

/** Ask the service what it is; it may want a token first. */
async function introduce() {
  try {
    const about = await describe();
    queue.limits = about.limits;
    showModel(about);
    find("token-row").classList.remove("wanted");
  } catch (error) {
    if (error.status === 401) find("token-row").hidden = false;
    find("token-row").classList.toggle("wanted", error.status === 401);
    find("model").textContent = error.status === 401 ? "a token is needed" : error.message;
  }
}

for (const part of document.querySelectorAll("[data-modality]")) {
  part.hidden = !takes.includes(part.dataset.modality);
}
for (const part of document.querySelectorAll("[data-task]")) part.hidden = part.dataset.task !== task.name;
if (task.videos) for (const input of document.querySelectorAll("input.pictures")) input.accept += `,${ACCEPTED}`;
watchLook(task.kind, moving => viewer.refresh(moving));
watchIntake(take);

