/** The handle that divides a picture into before and after: by pointer anywhere, by keys on the handle. */

const STEPS = {
  ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100,
};

export class Compare {
  /**
   * @param frame the element around the picture.
   * @param handle an element within it, with role="slider".
   */
  constructor(frame, handle) {
    this.frame = frame;
    this.handle = handle;
    this.at = 50;
    frame.addEventListener("pointerdown", event => this.#grab(event));
    frame.addEventListener("pointermove", event => frame.hasPointerCapture(event.pointerId) && this.#follow(event));
    handle.addEventListener("keydown", event => this.#step(event));
  }

  /** How much of the width shows the picture as it came, percent. */
  set at(percent) {
    this.percent = Math.min(100, Math.max(0, percent));
    this.frame.style.setProperty("--at", `${this.percent}%`);
    this.handle.setAttribute("aria-valuenow", Math.round(this.percent));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.percent)} % of the width shows the photo`);
  }

  #grab(event) {
    if (event.button !== 0 || !event.isPrimary) return; // a second finger zooms
    this.frame.setPointerCapture(event.pointerId);
    this.handle.focus({ preventScroll: true });
    this.#follow(event);
    event.preventDefault(); // nothing is selected or dragged away
  }

  #follow(event) {
    const { left, width } = this.frame.getBoundingClientRect();
    this.at = (100 * (event.clientX - left)) / width;
  }

  #step(event) {
    const step = STEPS[event.key];
    if (step === undefined) return;
    this.at = this.percent + (event.shiftKey ? 5 * step : step);
    event.preventDefault();
  }
}
