// A button in the corner of each text that is there to be copied.  (Browsers let pages of https and of this machine copy.)
"use strict";
for (const text of navigator.clipboard ? document.querySelectorAll("pre.copied") : []) {
  const frame = document.createElement("div");
  const button = document.createElement("button");
  frame.className = "copying";
  button.type = "button";
  button.className = "small";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not permitted: select it, and copy with the keyboard";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  text.replaceWith(frame);
  frame.append(text, button);
}
