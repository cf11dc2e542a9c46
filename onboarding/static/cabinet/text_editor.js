// The editor of a text: values at the cursor, its length, and what a client would read, as it is typed.

const form = document.getElementById("editor");
const field = document.getElementById("text");
const problem = document.getElementById("problem");
const preview = document.getElementById("preview");
const WAIT = 1200; // milliseconds after the last key; an owner may post once a second
let timer = null;
let asked = 0;

function showLength() {
  document.getElementById("length").textContent = `${field.value.length} / ${field.maxLength}`;
}

async function showPreview() {
  const number = ++asked;
  const answer = await fetch(form.dataset.preview, { method: "POST", body: new FormData(form) });
  if (!answer.ok || answer.redirected || number !== asked) return;
  const { text, problem: words } = await answer.json();
  problem.hidden = !words;
  problem.textContent = words || "";
  if (text === undefined) return;
  preview.replaceChildren(...text.split("\n").flatMap((line, at) => (at ? [document.createElement("br"), line] : [line])));
}

function changed() {
  showLength();
  clearTimeout(timer);
  timer = setTimeout(showPreview, WAIT);
}

function insert(name) {
  field.setRangeText(name, field.selectionStart, field.selectionEnd, "end");
  field.focus();
  changed();
}

field.addEventListener("input", changed);
for (const button of form.querySelectorAll("[data-name]")) {
  button.addEventListener("click", () => insert(button.dataset.name));
}
showLength();
