// Shows the result of a test event without a reload: asks every two seconds, for a minute.

import { fetchPage } from "./fetch_page.js";

const EVERY = 2000, MOST = 30; // milliseconds, times
let asked = 0;

async function look() {
  const shown = document.getElementById("test");
  if (shown?.dataset.test !== "due" || asked++ >= MOST) return;
  try {
    const fresh = (await fetchPage(location.pathname)).getElementById("test");
    if (fresh && fresh.dataset.test !== "due") {
      shown.replaceChildren(...fresh.childNodes);
      shown.dataset.test = fresh.dataset.test;
    }
  } catch (error) {
    console.info("the result is not known yet", error.name); // the next round asks again
  }
  setTimeout(look, EVERY);
}

setTimeout(look, EVERY);
