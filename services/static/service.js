/** Requests to the service that this page comes from. */

import { pause } from "./dom.js";

const TRIES = 30;
const SILENCE_MS = 90_000; // without any progress; the service itself refuses a picture after 60 s
const DESCRIBE_MS = 10_000;
const NO_ANSWER = "the server did not answer, or the file could not be read; try again";
const NO_TOKEN = "this server asks for its token; enter it above";
export const WRONG_TOKEN = "this is not the server's token";

/** An answer that is an error; `status` is 0 where there was no answer, `wait` the seconds it asks to wait, or NaN. */
export class Refused extends Error {
  constructor(status, reason, wait = NaN) {
    super(reason);
    this.status = status;
    this.wait = wait;
  }
}

/** Whether a failure may pass by itself: no answer, a stalled upload, a busy service, or a fault of it. */
export const passing = status => [0, 408, 429].includes(status) || (status >= 500 && status !== 501);

let token = "";
export const useToken = text => { token = text; };
const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

/** What is being served: {description, card, limits}. */
export async function describe() {
  const signal = AbortSignal.timeout(DESCRIBE_MS);
  const answer = await fetch("describe", { method: "POST", headers: headers(), signal }).catch(() => {
    throw new Refused(0, NO_ANSWER);
  });
  if (!answer.ok) throw refusal(answer.status, await answer.text(), name => answer.headers.get(name));
  return answer.json();
}

/**
 * Post a form; while the service is busy, wait as long as it says and post it again.
 *
 * @param path one of the service's, without a slash.
 * @param fields pairs of name and text or File.
 * @param watch {progress: called with "sending", "computing", "receiving" or "busy", and the share of it that is done,
 *     0 to 1, null where that is not known; signal: an AbortSignal; tries: at most; patience: ms that it may compute
 *     without a sign of life}.
 * @returns {blob, notes: sentences, steps: {name: ms} in the service, spent: ms in all, frames: of a video}.
 */
export async function post(path, fields, watch = {}) {
  const { progress = () => {}, signal, tries = TRIES, patience = SILENCE_MS } = watch;
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  for (let tried = 1; ; tried++) {
    const started = performance.now();
    const request = await send(path, body, { progress, signal, patience });
    if (request.status === 200) return answerOf(request, performance.now() - started);
    const busy = request.status === 429 || request.status === 503;
    const refused = refusal(request.status, await request.response.text(), name => request.getResponseHeader(name));
    if (!busy || tried === tries) throw refused;
    progress("busy", null);
    await pause(1000 * (refused.wait || 1), signal);
  }
}

/** By XMLHttpRequest: `fetch` does not report how much has been sent. */
function send(path, body, { progress, signal, patience }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "blob";
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    let timer;
    const within = ms => { // or there is no answer
      clearTimeout(timer);
      if (ms < Infinity) timer = setTimeout(giveUp, ms);
    };
    const giveUp = () => {
      reject(new Refused(0, NO_ANSWER));
      request.abort();
    };
    const step = (state, share, ms) => {
      within(ms);
      progress(state, share);
    };
    request.upload.onprogress = event => step("sending", shareOf(event) ?? 0, SILENCE_MS);
    request.upload.onload = () => step("computing", null, patience);
    request.onprogress = event => request.status === 200 && step("receiving", shareOf(event), SILENCE_MS);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Refused(0, NO_ANSWER));
    request.onabort = () => reject(signal.reason);
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop);
    request.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop); // else the signal holds the answer
    };
    within(SILENCE_MS);
    request.send(body);
  });
}

const shareOf = ({ lengthComputable, loaded, total }) => (lengthComputable && total ? loaded / total : null);

function answerOf(request, spent) {
  const timing = request.getResponseHeader("Server-Timing") || "";
  const steps = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => [name, Number(ms)]);
  const notes = JSON.parse(request.getResponseHeader("X-Limelight-Notes") || "[]");
  const frames = Number(request.getResponseHeader("X-Limelight-Frames"));
  return { blob: request.response, notes, steps: Object.fromEntries(steps), spent, frames };
}

/** @param header returns one of the answer's, by name; a fault's id leads to its line in the service's log. */
function refusal(status, text, header) {
  const id = status >= 500 && header("X-Request-ID");
  const reason = `${reasonOf(status, text)}${id ? ` (request ${id})` : ""}`;
  return new Refused(status, reason, parseFloat(header("Retry-After")));
}

/** Why a request was refused: the service's own line; that on tokens names a header, which a person does not send. */
function reasonOf(status, text) {
  if (status === 401) return token ? WRONG_TOKEN : NO_TOKEN;
  try {
    return JSON.parse(text).error;
  } catch {
    return text || `the server answered with status ${status}`; // something stands before the service
  }
}
