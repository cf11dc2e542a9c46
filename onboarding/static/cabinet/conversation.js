// Conversations that stay up to date: what is new is put in while somebody looks, and marked as read once seen.

import { ANSWER_WITHIN, fetchPage } from "./fetch_page.js";

const POLL = 5000, SLOWEST = 15000, SLOWEST_AFTER_ERRORS = 60000; // milliseconds
const chat = document.getElementById("chat");
const list = document.getElementById("conversations");
const fragment = document.querySelector("[data-fragment]")?.dataset.fragment; // none on pages of older ones
let pause = POLL;

function scrollToEnd() {
  chat?.lastElementChild?.scrollIntoView({ block: "end" });
}

async function markRead() {
  const form = document.getElementById("read");
  if (!form || document.hidden) return;
  const answer = await fetch(form.action, {
    method: "POST", body: new FormData(form), redirect: "manual", signal: AbortSignal.timeout(ANSWER_WITHIN),
  });
  if (answer.type === "opaqueredirect") form.hidden = true;
}

// Adds the messages that are not shown yet. Of the others only the state changes: an element that is replaced
// would be read out once more.
function putIn(messages) {
  let added = false;
  for (const message of messages) {
    const shown = chat.querySelector(`[data-id="${message.dataset.id}"]`);
    if (!shown) {
      chat.append(message);
      added = true;
      continue;
    }
    const bubble = shown.querySelector(".bubble"), fetched = message.querySelector(".bubble");
    if (bubble.innerHTML !== fetched.innerHTML) bubble.replaceChildren(...fetched.childNodes); // its file is there
    const before = shown.querySelector("[data-state]"), now = message.querySelector("[data-state]");
    if (before && now && before.textContent !== now.textContent) before.textContent = now.textContent;
  }
  return added;
}

function refreshChat(page) {
  const fresh = page.getElementById("chat");
  if (!chat?.dataset.latest || !fresh?.dataset.latest) return false;
  const added = putIn([...fresh.children]);
  chat.dataset.latest = fresh.dataset.latest;
  document.getElementById("read")?.remove();
  const form = page.getElementById("read");
  if (form) document.getElementById("log").after(form);
  if (added) scrollToEnd();
  return added;
}

// Nobody loses the link under the finger.
function refreshList(page) {
  const fresh = page.getElementById("conversations");
  if (!list || !fresh || list.contains(document.activeElement) || list.innerHTML === fresh.innerHTML) return false;
  list.replaceChildren(...fresh.childNodes);
  document.querySelector(".talk-empty:not([data-beside])")?.remove(); // there is somebody now
  return true;
}

async function refresh() {
  const listed = list?.offsetParent ? "?list=1" : ""; // a phone shows the conversation alone
  const page = await fetchPage(fragment + listed);
  return [refreshChat(page), refreshList(page)].includes(true);
}

async function poll() {
  if (!document.hidden) {
    try {
      pause = (await refresh()) ? POLL : Math.min(pause * 1.3, SLOWEST);
      await markRead();
    } catch {
      pause = Math.min(pause * 2, SLOWEST_AFTER_ERRORS);
    }
  }
  setTimeout(poll, pause);
}

// Pictures make the conversation longer when they come: its end stays in sight until somebody moves.
let moved = false;
for (const kind of ["wheel", "touchmove", "keydown"]) {
  addEventListener(kind, () => { moved = true; }, { once: true, passive: true });
}
for (const picture of chat?.querySelectorAll("img") ?? []) {
  picture.addEventListener("load", () => { if (!moved) scrollToEnd(); }, { once: true });
}

if (chat?.dataset.latest) scrollToEnd();
markRead();
if (fragment) setTimeout(poll, POLL);
document.addEventListener("visibilitychange", () => { pause = POLL; });

// A file that is too large is said at once, not after its upload.
const file = document.getElementById("file");
file?.addEventListener("change", () => {
  const tooLarge = file.files[0] && file.files[0].size > Number(file.dataset.largest);
  file.setCustomValidity(tooLarge ? file.dataset.tooLarge : "");
  file.reportValidity();
});
