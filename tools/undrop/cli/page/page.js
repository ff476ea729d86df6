"use strict";
const summaries = [...document.querySelectorAll("summary")];
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const at = summaries.indexOf(document.activeElement);
  if (!step || at < 0) return;
  event.preventDefault();
  summaries[at + step]?.focus();
});
for (const button of document.querySelectorAll("button")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
}
