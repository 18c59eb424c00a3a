// Which finding's heat map is laid over the film, where there are several. Without this the first is.
"use strict";
const which = document.getElementById("which-heat");
if (which) {
  const show = () => {
    for (const each of document.querySelectorAll(".layer.heat image")) {
      each.classList.toggle("other", each.dataset.finding !== which.value);
    }
  };
  which.addEventListener("change", show);
  show();
}
