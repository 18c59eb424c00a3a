// Shows the heat map of the selected finding; without scripts the first is shown.
"use strict";
const select = document.getElementById("which-heat");
if (select) {
  const show = () => {
    for (const image of document.querySelectorAll(".layer.heat image")) {
      image.classList.toggle("other", image.dataset.finding !== select.value);
    }
  };
  select.addEventListener("change", show);
  show();
}
