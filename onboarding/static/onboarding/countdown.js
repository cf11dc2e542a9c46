// The time that a code has left: a bar and a sentence.

const TICK_MS = 250;
const LOW_SECONDS = 8;

export class Countdown {
  constructor({ meter, label, sentence, onOver }) {
    Object.assign(this, { meter, label, sentence, onOver });
    this.timer = null;
    this.code = null;
  }

  // `seconds` are left for `code`; the bar is full at the code's first sight, or for a part of its life.
  set(code, seconds) {
    const end = performance.now() + seconds * 1000;
    if (code !== this.code) {
      this.code = code;
      this.total = Math.max(seconds, 20);
      this.end = end;
    }
    this.end = Math.min(this.end, end + 1000); // whole seconds arrive cut off
    clearInterval(this.timer);
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  clear() {
    clearInterval(this.timer);
    this.code = null;
    this.meter.hidden = true;
    this.label.textContent = "";
  }

  tick() {
    const left = Math.max(0, (this.end - performance.now()) / 1000);
    this.meter.hidden = false;
    this.meter.dataset.low = String(left < LOW_SECONDS);
    this.meter.firstElementChild.style.transform = `scaleX(${Math.min(1, left / this.total)})`;
    this.label.textContent = this.sentence.replace("{seconds}", String(Math.ceil(left)));
    if (left === 0) {
      this.clear();
      this.onOver();
    }
  }
}
