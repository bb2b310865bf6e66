// The text of a file as the value of a parameter: beside each field for one, a button that reads a file into it.
"use strict";
for (const field of document.querySelectorAll("textarea[data-file]")) {
  const chooser = document.createElement("input");
  chooser.type = "file";
  chooser.setAttribute("aria-label", field.dataset.file);
  chooser.addEventListener("change", async () => {
    if (chooser.files.length) field.value = await chooser.files[0].text();
  });
  field.before(chooser);
}
