// A conversation that stays up to date, and is marked as read once it was seen.

const chat = document.getElementById("chat");
const POLL = 5000, SLOWEST = 60000; // milliseconds
let pause = POLL;

function scrollToEnd() {
  chat.lastElementChild?.scrollIntoView({ block: "end" });
}

async function markRead() {
  const form = document.getElementById("read");
  if (!form || document.hidden) return;
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" });
  if (answer.type === "opaqueredirect") form.hidden = true;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("chat");
  if (!next || next.innerHTML === chat.innerHTML) return false;
  const isNew = next.dataset.latest !== chat.dataset.latest;
  chat.replaceChildren(...next.children);
  chat.dataset.latest = next.dataset.latest;
  document.getElementById("read")?.remove();
  const form = page.getElementById("read");
  if (form) chat.after(form);
  if (isNew) scrollToEnd();
  return true;
}

async function poll() {
  if (!document.hidden) {
    try {
      pause = (await refresh()) ? POLL : Math.min(pause * 1.3, SLOWEST);
      await markRead();
    } catch {
      pause = SLOWEST;
    }
  }
  setTimeout(poll, pause);
}

if (chat.dataset.latest) {
  scrollToEnd();
  markRead();
  setTimeout(poll, POLL);
  document.addEventListener("visibilitychange", () => { pause = POLL; });
}

// A file that is too large is said at once, not after its upload.
const file = document.getElementById("file");
file?.addEventListener("change", () => {
  const tooLarge = file.files[0] && file.files[0].size > Number(file.dataset.largest);
  file.setCustomValidity(tooLarge ? file.dataset.tooLarge : "");
  file.reportValidity();
});
