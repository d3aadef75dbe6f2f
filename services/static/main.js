/** The page: its parts, and what connects them. */

import { find, stem, tell } from "./dom.js";
import { file } from "./drawing.js";
import { watchIntake } from "./intake.js";
import { List } from "./list.js";
import { look, lookName, lookTitle, sameLook, watchLook } from "./look.js";
import { showModel } from "./model.js";
import { openVocabulary } from "./open-vocabulary.js";
import { Picture } from "./picture.js";
import { Queue } from "./queue.js";
import { saliency } from "./saliency.js";
import { canCopy, copy, download } from "./save.js";
import { describe, passing, useToken, WRONG_TOKEN } from "./service.js";
import { ACCEPTED, isVideo, Video } from "./video.js";
import { Viewer } from "./viewer.js";

const takes = document.documentElement.dataset.takes.split(" ");
const task = takes.includes("open-vocabulary") ? openVocabulary : saliency;

const TOAST_MS = 5000;
const RETRY_S = 5, MAX_RETRY_S = 60; // to ask what the service is
const BUSY = "the server is busy", WHY = { 0: "no answer", 429: BUSY, 503: BUSY };

/** Say what changes nowhere else on the page; it is seen for a while. */
function say(text) {
  find("status").textContent = text;
  find("status").classList.remove("visually-hidden");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => find("status").classList.add("visually-hidden"), TOAST_MS);
}

const queue = new Queue(task, changed);
const list = new List(task, { open, again, remove });
const viewer = new Viewer(task, look);

function changed(picture) {
  if (!queue.pictures.includes(picture)) return; // removed meanwhile
  list.update(picture);
  if (picture === viewer.picture) open(picture);
  if (picture.state === "done") tell("news", `${picture.name} is done`);
  if (picture.state === "failed") tell("news", `${picture.name}: ${picture.reason}`);
  if (picture.status === 401) wantToken(picture.reason);
  showActions();
}

function open(picture) {
  const starting = find("start").contains(document.activeElement); // which is about to be hidden
  viewer.open(picture);
  list.mark(picture);
  if (starting && picture) list.focus(picture);
  showActions();
}

function remove(picture) {
  const place = queue.pictures.indexOf(picture);
  queue.remove(picture);
  if (picture === viewer.picture) open(queue.pictures[place] || queue.pictures[place - 1] || null);
  list.remove(picture);
  showActions();
}

function removeAll() {
  open(null);
  [...queue.pictures].forEach(remove);
  find("file").focus();
}

function again(picture) {
  if (picture.moving) makeVideo(picture);
  else queue.again(picture);
}

let saving = false; // whether all are being saved

function showActions() {
  const { picture } = viewer, now = look(), lacking = now.kind === "picture" && !now.background;
  const done = queue.pictures.filter(each => each.state === "done"), shown = picture?.state === "done";
  find("save").disabled = !shown || (lacking && !picture.moving); // a video is saved as it was made
  find("copy").disabled = !shown || !canCopy || lacking || picture.moving;
  find("make").hidden = !picture?.moving;
  find("make").textContent = stoppable(picture) ? "Stop" : shown ? "Make the video again" : "Make the video";
  const other = shown && picture.moving && !sameLook(picture.look, now);
  tell("stale", other ? `shown with ${lookTitle(picture.look)}; press Make the video again` : "");
  find("save-all").hidden = done.length < 2;
  find("save-all").disabled = saving || (lacking && !done.every(each => each.moving));
  find("again-all").hidden = queue.pictures.filter(each => each.retryable).length < 2;
  find("remove-all").hidden = queue.pictures.length < 2;
  find("panel").hidden = picture === null;
}

const stoppable = picture => Boolean(picture?.moving && (picture.underWay || picture.state === "waiting"));

/** Add files to the list, or what is none with its reason; the first of them is opened. */
async function take(files) {
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
  await introduced; // what the service takes is known then, or it has not said so in time
  queue.run();
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

find("make").addEventListener("click", ({ detail }) => {
  if (detail > 1) return; // of a double click, which would stop what it has begun
  const { picture } = viewer;
  if (!stoppable(picture)) return makeVideo(picture);
  picture.stop();
  changed(picture);
});
find("save").addEventListener("click", acting(() => save(viewer.picture)));
find("save-all").addEventListener("click", acting(async () => {
  const problems = [], focused = document.activeElement === find("save-all");
  setSaving(true);
  for (const picture of queue.pictures.filter(each => each.state === "done")) {
    await save(picture).catch(error => problems.push(`${picture.name}: ${error.message}`));
  }
  setSaving(false);
  if (focused && document.activeElement === document.body) find("save-all").focus(); // disabled buttons lose it
  if (problems.length) throw new Error(problems.join("; "));
}));

function setSaving(is) {
  saving = is;
  showActions();
}

find("remove-all").addEventListener("click", removeAll);
find("again-all").addEventListener("click", () => queue.pictures.filter(each => each.retryable).forEach(again));
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

let introductions = 0; // counts those that were begun anew
let introduced = introduce(++introductions);
find("token").addEventListener("change", ({ target }) => {
  useToken(target.value);
  introduced = introduce(++introductions);
});

/** Ask the service what it is, again later where it does not say; it may want a token first. */
async function introduce(turn) {
  try {
    const about = await describe();
    if (turn !== introductions) return; // another token was entered meanwhile
    queue.limits = about.limits;
    showModel(about);
    wantToken(null);
    for (const picture of queue.pictures) if (picture.status === 401) again(picture);
  } catch (error) {
    if (turn !== introductions) return;
    const { status, message, wait } = error;
    if (status === 401) return wantToken(message, true);
    find("model").textContent = passing(status) ? `${WHY[status] ?? message}; trying again` : message;
    if (passing(status)) setTimeout(() => introduce(turn), 1000 * Math.min(wait || RETRY_S, MAX_RETRY_S));
  }
}

/**
 * Show that the service wants a token.
 *
 * @param reason of its refusal; null if there is none.
 * @param aloud whether one that is wrong has just been entered.
 */
function wantToken(reason, aloud = false) {
  const wrong = reason === WRONG_TOKEN;
  if (reason !== null) find("token-row").hidden = false;
  find("token-row").classList.toggle("wanted", reason !== null);
  find("token").setAttribute("aria-invalid", wrong);
  tell("token-problem", wrong ? reason : "");
  if (reason !== null) find("model").textContent = "a token is needed";
  if (wrong && aloud) say(reason);
}

for (const part of document.querySelectorAll("[data-modality]")) {
  part.hidden = !takes.includes(part.dataset.modality);
}
for (const part of document.querySelectorAll("[data-task]")) part.hidden = part.dataset.task !== task.name;
if (task.videos) for (const input of document.querySelectorAll("input.pictures")) input.accept += `,${ACCEPTED}`;
watchLook(task.kind, moving => {
  viewer.refresh(moving);
  showActions();
});
watchIntake(take, say);

