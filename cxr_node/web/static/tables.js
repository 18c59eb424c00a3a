// Adds a check box that selects all rows of a page; without scripts each row has its own.
"use strict";
(() => {
  function setUp(form) {
    const heading = form.querySelector("th.select");
    if (heading.querySelector("input")) return;
    const boxes = [...form.querySelectorAll("tbody input[type=checkbox]")];
    const all = document.createElement("input");
    all.type = "checkbox";
    all.className = "toggle";
    all.setAttribute("aria-label", "Select all rows of this page");
    heading.replaceChildren(all);
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
    });
    form.addEventListener("change", () => {
      all.checked = boxes.every((box) => box.checked);
    });
  }

  const setUpAll = () => document.querySelectorAll("form.rows").forEach(setUp);
  document.addEventListener("htmx:afterSettle", setUpAll); // the rows were loaded again
  setUpAll();
})();
