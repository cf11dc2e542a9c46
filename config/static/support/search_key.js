// "/" leads into the search box from anywhere but a field, as on many sites; Escape leads out of it.
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("support-q");
  if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape" && event.target === box) {
    box.blur();
  }
});
