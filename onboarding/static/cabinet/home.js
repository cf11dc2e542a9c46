// Keeps the home page fresh: reads it anew while somebody looks at it, and puts in what has changed.

import { fetchPage } from "./fetch_page.js";

const EVERY_MS = 15000;
let timer = null;

async function refresh() {
  try {
    const fresh = (await fetchPage(location.href)).querySelector("[data-live]");
    const shown = document.querySelector("[data-live]");
    if (!fresh || busy(shown)) return;
    for (const [index, section] of [...fresh.children].entries()) {
      const old = shown.children[index];
      if (old && differs(old, section)) old.replaceWith(section.cloneNode(true));
      if (!old) shown.append(section.cloneNode(true));
    }
    while (shown.children.length > fresh.children.length) shown.lastElementChild.remove();
  } catch (error) {
    console.info("the page is not refreshed now", error.name); // the next round tries again
  }
}

// Nobody loses the button under the finger, nor the table that is open.
function busy(shown) {
  return shown.contains(document.activeElement) || shown.querySelector("details[open]") !== null;
}

// Every answer has another CSRF token, which changes nothing that is seen.
function differs(old, fresh) {
  const text = (element) => element.outerHTML.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
  return text(old) !== text(fresh);
}

function watch() {
  clearInterval(timer);
  if (document.visibilityState === "visible") timer = setInterval(refresh, EVERY_MS);
}

document.addEventListener("visibilitychange", watch);
watch();
