// What the page shows for a picture: which step, which panel, which words.

const $ = (id) => document.getElementById(id);
const PANELS = ["confirm", "link", "activate", "done", "trouble"];
const STEPS = ["link", "activate", "done"];
const STANDSTILL = ["conflict", "banned", "failed"];
const TONES = {
  starting: "busy", connecting: "busy", reconnecting: "busy", idle: "busy",
  qr: "ready", pairing_code: "ready", connected: "good",
  conflict: "bad", banned: "bad", failed: "bad", logged_out: "bad",
};

export function panelFor(picture) {
  if (["uninstalled", "frozen"].includes(picture.companyStatus) || picture.disputed) return "trouble";
  if (!picture.linked) return picture.status === "banned" ? "trouble" : "link";
  if (STANDSTILL.includes(picture.status)) return "trouble";
  return picture.activation.status === "active" ? "done" : "activate";
}

function stepFor(picture, panel) {
  if (panel === "done" || (picture.linked && picture.activation.status === "active")) return "done";
  return picture.linked ? "activate" : "link";
}

export class View {
  constructor({ texts, marketplacePage, link }) {
    Object.assign(this, { texts, marketplacePage, link });
    this.panel = null;
  }

  render(picture) {
    const panel = panelFor(picture);
    $("salon").textContent = picture.title;
    this.renderSteps(stepFor(picture, panel), panel === "done");
    if (panel === "link") this.link.render(picture);
    this.renderStatus(picture, panel);
    if (panel === "activate") this.renderActivation(picture);
    if (panel === "done") this.renderDone(picture);
    if (panel === "trouble") this.renderTrouble(picture);
    $("branches").textContent = picture.branches;
    $("branches").hidden = !picture.branches;
    $("support").hidden = !picture.showSupport;
    this.show(panel);
  }

  show(panel) {
    if (panel === this.panel) return;
    const first = this.panel === null;
    for (const name of PANELS) $(`panel-${name}`).hidden = name !== panel;
    this.panel = panel;
    // Whoever reads with a screen reader must not be left on a button that is gone.
    if (!first) $(`panel-${panel}`).querySelector("h2").focus();
  }

  renderSteps(current, finished) {
    const reached = STEPS.indexOf(current);
    for (const [index, name] of STEPS.entries()) {
      const item = document.querySelector(`[data-step=${name}]`);
      const state = index < reached || finished ? "finished" : index === reached ? "current" : "ahead";
      item.dataset.state = state;
      item.querySelector(".step-state").textContent = state === "ahead" ? "" : ` (${this.texts[state]})`;
      if (state === "current") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
  }

  renderStatus(picture, panel) {
    const words = panel === "link" ? this.link.message(picture) : `${picture.message} ${picture.activation.message}`;
    if ($("status-text").textContent !== words) $("status-text").textContent = words;
    $("status").dataset.tone = picture.poolRunning ? TONES[picture.status] : "busy";
    // The other panels say the same in their own place; a screen reader still hears it here.
    $("status").classList.toggle("hidden-text", panel !== "link");
  }

  renderActivation(picture) {
    const failed = picture.activation.status === "failed";
    $("activate-spinner").hidden = failed;
    $("activate-badge").hidden = !failed;
    $("retry-activation").hidden = !failed;
    $("activate-title").textContent = failed ? this.texts.activationFailed : this.texts.activating;
    const connected = picture.connected || failed;
    $("activate-text").textContent = connected ? picture.activation.message : picture.message;
    $("activate-phone").textContent = picture.phoneFormatted;
  }

  renderDone(picture) {
    $("done-good").hidden = !picture.connected;
    $("done-warn").hidden = picture.connected;
    $("done-title").textContent = picture.connected ? this.texts.connected : this.texts.notConnected;
    $("done-phone").textContent = picture.phoneFormatted;
    $("done-text").textContent = picture.connected ? picture.activation.message : picture.message;
    $("done-settling").hidden = !picture.settling;
    $("done-link").href = picture.activation.redirectUrl || this.marketplacePage;
  }

  renderTrouble(picture) {
    const gone = { uninstalled: this.texts.removed, frozen: this.texts.suspended }[picture.companyStatus];
    const disputed = picture.disputed && !gone;
    $("trouble-title").textContent = gone || (disputed ? this.texts.disputed : this.texts[picture.status]);
    $("trouble-text").textContent = gone ? picture.activation.message : picture.message;
    $("trouble-phone").textContent = gone || disputed ? "" : picture.phoneFormatted;
    $("trouble-link").href = picture.paymentUrl || this.marketplacePage;
    $("trouble-link").textContent = picture.paymentUrl ? this.texts.pay : this.texts.back;
    const canAct = !gone && !disputed && ["conflict", "failed"].includes(picture.status);
    const again = picture.status === "conflict" ? this.texts.useHere : this.texts.connectAgain;
    this.setAction(canAct ? again : "", () => this.onConnectAgain());
  }

  // Before any code is asked for: whose salon is it? The server has written the words.
  renderConfirm(picture) {
    $("confirm-salon").textContent = picture.title;
    this.renderSteps("link", false);
    $("salon").textContent = "";
    $("status").classList.add("hidden-text");
    this.show("confirm");
  }

  renderExpired() {
    if (this.panel === "done") return; // nothing is left to do here
    $("trouble-title").textContent = this.texts.expiredTitle;
    $("trouble-text").textContent = this.texts.expired;
    $("trouble-phone").textContent = "";
    $("trouble-link").href = this.marketplacePage;
    $("trouble-link").textContent = this.texts.back;
    this.setAction("", null);
    $("status").classList.add("hidden-text");
    this.show("trouble");
  }

  setAction(label, act) {
    const button = $("trouble-action");
    button.hidden = !label;
    button.textContent = label;
    button.onclick = act;
  }

  // A line above the panels about the connection to us, or about the last wish.
  notice(message, label, act) {
    const box = $("notice");
    if (box.dataset.message === message) return;
    box.dataset.message = message;
    box.hidden = !message;
    box.textContent = message;
    if (!message || !label) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-quiet";
    button.textContent = label;
    button.onclick = act;
    box.append(button);
  }
}
