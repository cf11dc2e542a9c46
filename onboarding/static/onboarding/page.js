// The onboarding page: takes pictures of the salon's state from the channel and has them shown.

import { Channel } from "./channel.js";
import { LinkPanel } from "./link.js";
import { View, panelFor } from "./view.js";

const ASK_ACTIVATION_MS = 6000; // the server activates by itself; the page asks when it hears nothing
const NOTICE_MS = 8000;
const CONFIRM_POLL_MS = 2000;

const start = JSON.parse(document.getElementById("start").textContent);
const { token, language, texts, marketplacePage } = start;
const sessionId = start.picture.session_id;

function cleanAddress() {
  try {
    sessionStorage.setItem(`onboarding:${sessionId}`, token); // a reload in this tab goes on with it
  } catch (error) {
    console.info("no storage: a reload will lead back to YClients", error.name);
  }
  const query = new URLSearchParams(location.search);
  query.delete("token");
  const rest = query.size ? `?${query}` : "";
  history.replaceState(null, "", `${location.pathname}${rest}#${sessionId}`);
}

const link = new LinkPanel({ texts, channel: () => channel });
const view = new View({ texts, marketplacePage, link });
link.onChoice = () => picture && view.renderStatus(picture, view.panel);
let picture = null;
let activationTimer = null;
let noticeTimer = null;
let line = "live";
let begun = false;

const channel = new Channel({
  token, language, sessionId, onPicture: showSnapshot, onProblem: explain, onLine: noteLine,
});

function showSnapshot(next) {
  const same = picture && next.generation === picture.generation;
  if (same && next.version < picture.version) return; // it was overtaken on its way
  const activation = next.activation.status;
  const moved = !picture || picture.activation.status !== activation || picture.connected !== next.connected;
  picture = next;
  view.render(picture);
  if (moved) watchActivation(next.connected && activation === "activating");
  if (next.companyStatus === "uninstalled") channel.end();
}

function watchActivation(running) {
  clearTimeout(activationTimer);
  if (running) activationTimer = setTimeout(() => channel.activate(), ASK_ACTIVATION_MS);
}

function explain({ event, code, message }) {
  if (event === "pairing-code-error") {
    link.fail(message || texts.noNetwork);
  } else if (event === "activation-error") {
    document.getElementById("retry-activation").disabled = false;
    // A running activation tells its result by itself.
    if (code !== "activation_running") showNotice(message || texts.noNetwork);
  } else if (!["too_soon", "logged_out"].includes(code)) { // a lost link is told above the next code
    showNotice(message || texts.noNetwork);
  }
}

function showNotice(message) {
  clearTimeout(noticeTimer);
  view.notice(message);
  noticeTimer = setTimeout(showLine, NOTICE_MS);
}

function noteLine(next) {
  if (next === line || line === "expired") return;
  const slow = ["foreign", "tooMany"].includes(line) && next === "polling";
  if (slow) return; // the reason for polling says more than the polling itself
  line = next;
  showLine();
}

function showLine() {
  if (line === "expired") {
    view.notice("");
    if (picture.companyStatus !== "uninstalled") view.renderExpired();
    return;
  }
  const words = {
    live: "", polling: texts.offline, unreachable: texts.noNetwork, silent: texts.silent,
    foreign: texts.foreign, tooMany: texts.tooMany,
  }[line];
  const stuck = ["silent", "unreachable"].includes(line);
  view.notice(words, stuck ? texts.checkAgain : "", () => channel.retry());
}

view.onConnectAgain = () => channel.requestQr();

document.getElementById("retry-activation").addEventListener("click", (event) => {
  event.target.disabled = true;
  channel.activate().finally(() => { event.target.disabled = false; });
});

for (const button of document.querySelectorAll("[data-language]")) {
  if (button.dataset.language === language) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => {
    const query = new URLSearchParams({ token, lang: button.dataset.language });
    location.replace(`${location.pathname}?${query}#${sessionId}`);
  });
}

// Codes begin with the channel, so it begins when the person has confirmed the salon; a reload asks no more.
const confirmation = { name: `confirmed:${sessionId}`, value: token.split(".").at(-1) };

function isConfirmed() {
  try {
    return sessionStorage.getItem(confirmation.name) === confirmation.value;
  } catch (error) {
    return false; // no storage: a reload asks again
  }
}

function startPage() {
  begun = true;
  showSnapshot(start.picture);
  if (picture.companyStatus !== "uninstalled") channel.start();
}

// The salon's name may come a moment after the page, and another tab may go ahead.
async function waitForConfirmation() {
  const next = await channel.readSnapshot();
  if (begun) return;
  if (next) start.picture = next;
  if (panelFor(start.picture) !== "link") {
    startPage();
    return;
  }
  view.renderConfirm(start.picture);
  setTimeout(waitForConfirmation, CONFIRM_POLL_MS);
}

document.getElementById("confirm").addEventListener("click", () => {
  try {
    sessionStorage.setItem(confirmation.name, confirmation.value);
  } catch (error) {
    console.info("no storage: a reload will ask again", error.name);
  }
  startPage();
});

cleanAddress();
if (panelFor(start.picture) === "link" && !isConfirmed()) {
  view.renderConfirm(start.picture);
  waitForConfirmation();
} else startPage();
