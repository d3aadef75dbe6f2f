/** Requests to the service that this page comes from. */

import { pause } from "./dom.js";

const TRIES = 30;
const NO_ANSWER = "the server did not answer, or the file could not be read; try again";
const NO_TOKEN = "this server asks for its token; enter it above";

/** An answer that is an error; `status` is 0 where there was no answer. */
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

let token = "";
export const useToken = text => { token = text; };
const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** What is being served: {description, card, limits}. */
export async function describe() {
  const answer = await fetch("describe", { method: "POST", headers: headers() });
  if (!answer.ok) throw new Refused(answer.status, reasonOf(answer.status, await answer.text()));
  return answer.json();
}

/**
 * Post a form; while the service is busy, wait as long as it says and post it again.
 *
 * @param path one of the service's, without a slash.
 * @param fields pairs of name and text or File.
 * @param watch {progress: called with the share sent, 0 to 1; signal: an AbortSignal; tries: at most}.
 * @returns {blob, notes: sentences, steps: {name: ms} in the service, spent: ms in all, frames: of a video}.
 */
export async function post(path, fields, { progress = () => {}, signal, tries = TRIES } = {}) {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  for (let tried = 1; ; tried++) {
    const started = performance.now();
    const request = await send(path, body, progress, signal);
    if (request.status === 200) return answerOf(request, performance.now() - started);
    const busy = request.status === 429 || request.status === 503;
    if (!busy || tried === tries) {
      throw new Refused(request.status, reasonOf(request.status, await request.response.text()));
    }
    await pause(1000 * (Number(request.getResponseHeader("Retry-After")) || 1));
  }
}

/** By XMLHttpRequest: `fetch` does not report how much has been sent. */
function send(path, body, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "blob";
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = event => progress(event.total ? event.loaded / event.total : 0);
    request.upload.onload = () => progress(1);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Refused(0, NO_ANSWER));
    request.onabort = () => reject(signal.reason);
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop);
    request.onloadend = () => signal?.removeEventListener("abort", stop); // else the signal holds the answer
    request.send(body);
  });
}

function answerOf(request, spent) {
  const timing = request.getResponseHeader("Server-Timing") || "";
  const steps = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]);
  const notes = JSON.parse(request.getResponseHeader("X-Limelight-Notes") || "[]");
  const frames = Number(request.getResponseHeader("X-Limelight-Frames"));
  return { blob: request.response, notes, steps: Object.fromEntries(steps), spent, frames };
}

/** Why a request was refused: the service's own line; that on tokens names a header, which a person does not send. */
function reasonOf(status, text) {
  if (status === 401) return NO_TOKEN;
  try {
    return JSON.parse(text).error;
  } catch {
    return text || `the server answered with status ${status}`; // something stands before the service
  }
}
