// The first step: a QR code to scan, or a code to type on the phone itself.

import { Countdown } from "./countdown.js";
import { drawQr } from "./qr.js";

const $ = (id) => document.getElementById(id);
const PHONE_SIZED = "(max-width: 700px)"; // nobody scans their own screen
const ANSWER_MS = 30000;

export class LinkPanel {
  constructor({ texts, channel }) {
    this.texts = texts;
    this.channel = channel;
    this.editing = false;
    this.hadCode = false;
    this.askingTimer = null;
    this.qrLeft = new Countdown({
      meter: $("qr-meter"), label: $("qr-left"), sentence: texts.secondsLeft, onOver: () => this.showQr(null),
    });
    this.codeLeft = new Countdown({
      meter: $("code-meter"), label: $("code-left"), sentence: texts.codeSecondsLeft,
      onOver: () => this.showForm(texts.codeRanOut),
    });
    this.listen();
  }

  listen() {
    for (const input of document.querySelectorAll("input[name=way]")) {
      input.addEventListener("change", () => this.choose(input.value));
    }
    $("new-qr").addEventListener("click", () => {
      this.showQr(null);
      this.channel().requestQr();
    });
    $("code-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    $("other-phone").addEventListener("click", () => {
      this.editing = true;
      this.showForm("");
      $("phone").focus();
    });
    for (const id of ["copy", "code"]) $(id).addEventListener("click", () => this.copy());
  }

  // The server's words are about the session; here they depend on what the person looks at, too.
  message(picture) {
    if (!picture.poolRunning || !["starting", "qr", "pairing_code"].includes(picture.status)) return picture.message;
    if (this.way === "qr") return picture.hasQR ? this.texts.scan : this.texts.wait;
    if (picture.hasPairingCode && !this.editing) return this.texts.type;
    return this.asking ? this.texts.asking : this.texts.givePhone;
  }

  choose(way) {
    document.querySelector(`input[name=way][value=${way}]`).checked = true;
    $("way-qr").hidden = way !== "qr";
    $("way-code").hidden = way !== "code";
    this.way = way;
    this.onChoice?.();
  }

  render(picture) {
    if (!this.way) {
      this.choose(picture.hasPairingCode || matchMedia(PHONE_SIZED).matches ? "code" : "qr");
    }
    $("lost-link").textContent = picture.lostLink || "";
    $("lost-link").hidden = !picture.lostLink;
    this.showQr(picture.hasQR ? picture : null);
    if (picture.hasPairingCode && !this.editing) this.showCode(picture);
    else if (!picture.hasPairingCode) this.renderNoCode(picture);
  }

  // --- QR code ---

  showQr(picture) {
    const box = $("qr");
    if (picture && this.qrText === picture.qr) {
      this.qrLeft.set(picture.qr, picture.qrExpiresIn);
      return;
    }
    this.qrText = picture ? picture.qr : null;
    box.dataset.ready = String(Boolean(picture));
    if (picture) {
      box.replaceChildren(drawQr(picture.qr));
      this.qrLeft.set(picture.qr, picture.qrExpiresIn);
      return;
    }
    this.qrLeft.clear();
    const wait = document.createElement("div");
    wait.className = "wait";
    const spinner = document.createElement("span");
    spinner.className = "spinner";
    wait.append(spinner, this.texts.preparing);
    box.replaceChildren(wait);
  }

  // --- code to type ---

  ask() {
    const phone = $("phone").value.trim();
    this.showError("");
    if (!/\d/.test(phone)) {
      this.showError(this.texts.emptyPhone);
      return;
    }
    this.setAsking(true);
    this.editing = false;
    this.channel().requestPairingCode(phone);
  }

  setAsking(asking) {
    clearTimeout(this.askingTimer);
    if (asking) this.askingTimer = setTimeout(() => this.fail(this.texts.noCode), ANSWER_MS);
    this.asking = asking;
    this.onChoice?.();
    $("get-code").disabled = asking;
    $("get-code").textContent = asking ? this.texts.asking : this.texts.getCode;
  }

  fail(message) {
    this.setAsking(false);
    this.showForm("");
    this.showError(message);
  }

  showError(message) {
    $("phone-error").textContent = message;
    $("phone-error").hidden = !message;
    $("phone").setAttribute("aria-invalid", String(Boolean(message)));
  }

  renderNoCode(picture) {
    if (this.hadCode) this.showForm(this.texts.codeRanOut);
    if (picture.pairingError && (this.asking || !this.rendered)) this.fail(picture.pairingErrorMessage);
    if (picture.pairingPhone && !$("phone").value) $("phone").value = picture.pairingPhoneFormatted;
    // A reload while WhatsApp is still being asked.
    if (picture.pairingPhone && !picture.pairingError && !this.rendered) this.setAsking(true);
    this.rendered = true;
  }

  showCode(picture) {
    const plain = picture.pairingCode.replace(/[^A-Za-z0-9]/g, "");
    const fresh = this.code !== plain || $("code-box").hidden;
    this.code = plain;
    this.rendered = true;
    this.hadCode = true;
    this.setAsking(false);
    this.showError("");
    $("code-form").hidden = true;
    $("code-box").hidden = false;
    $("code-for").textContent = this.texts.codeFor.replace("{phone}", picture.pairingPhoneFormatted);
    this.codeLeft.set(plain, picture.pairingCodeExpiresIn);
    if (!fresh) return;
    const seen = document.createElement("span");
    seen.setAttribute("aria-hidden", "true");
    seen.textContent = `${plain.slice(0, 4)}-${plain.slice(4)}`;
    const spoken = document.createElement("span");
    spoken.className = "hidden-text";
    spoken.textContent = [...plain].join(" ");
    $("code").replaceChildren(seen, spoken);
    this.showCopied(this.texts.copy, "");
    if (this.way === "code") $("code").focus({ preventScroll: true });
  }

  showForm(message) {
    this.hadCode = false;
    this.codeLeft.clear();
    $("code-form").hidden = false;
    $("code-box").hidden = true;
    if (message) this.showError(message);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code);
    } catch (error) {
      // A framed page may not use the clipboard without the frame's permission: select, then copy.
      getSelection().selectAllChildren($("code").firstElementChild);
      if (!document.execCommand("copy")) {
        this.showCopied(this.texts.copy, this.texts.copyByHand);
        return;
      }
    }
    this.showCopied(this.texts.copied, this.texts.codeCopied);
  }

  // The button's label, and a sentence below the code that screen readers speak.
  showCopied(label, sentence) {
    $("copy").textContent = label;
    $("copied").textContent = sentence;
  }
}
