// Page of one film, or of two side by side: keys, layers, and the lists whose rows highlight regions.

import { Viewer } from "./viewer.js";

const SHORTCUTS_KEY = "cxr-node-single-keys", LAYERS_KEY = "cxr-node-layers", PAN = 60, WINDOW = 2048;
const LAYERS = { h: "heat", o: "outlines", a: "anatomy", c: "calipers", d: "densities", b: "borders", p: "points" };
const PRESETS = { s: "sent", f: "full", l: "lungs", m: "mediastinum" };

const viewers = [...document.querySelectorAll(".viewer")].map((root) => new Viewer(root));
const dialog = document.getElementById("keys"), singleKeys = document.getElementById("single-keys");
let active = viewers[0], pinned = "", hovered = "";

const viewerOf = (element) => viewers.find(({ film }) => film === element.closest("[data-film]")?.dataset.film);

// Layers and opacity stay as chosen from one film to the next.
const stored = () => JSON.parse(sessionStorage.getItem(LAYERS_KEY) ?? "{}");
const store = (name, value) => sessionStorage.setItem(LAYERS_KEY, JSON.stringify({ ...stored(), [name]: value }));

function showLayers(viewer) {
  const choices = stored();
  for (const box of viewer.root.querySelectorAll("[data-layer]:not(:disabled)")) {
    if (box.dataset.layer in choices) box.checked = choices[box.dataset.layer];
  }
  const slider = viewer.root.querySelector("[data-opacity]");
  if (slider && choices.opacity) slider.value = choices.opacity;
  if (slider) viewer.fade(Number(slider.value));
}

// Rows of findings and measurements that are drawn on the film become buttons.
function makeButtons() {
  for (const row of document.querySelectorAll(".reading [data-mark]")) {
    const viewer = viewerOf(row), mark = row.dataset.mark;
    const isDrawn = viewer?.root.querySelector(`.overlay [data-mark="${CSS.escape(mark)}"], [data-heat-of="${CSS.escape(mark)}"]`);
    const name = row.querySelector(".mark-name");
    if (!isDrawn || name.hasAttribute("role")) continue;
    name.setAttribute("role", "button");
    name.tabIndex = 0;
    name.title = "Highlight on the film";
    name.setAttribute("aria-pressed", String(pinned === mark));
  }
}

function light() {
  const marks = [pinned, hovered].filter(Boolean);
  for (const viewer of viewers) viewer.light(marks);
  for (const row of document.querySelectorAll(".reading [data-mark]")) {
    row.classList.toggle("lit", marks.includes(row.dataset.mark));
    row.querySelector("[role=button]")?.setAttribute("aria-pressed", String(pinned === row.dataset.mark));
  }
}

function hover(mark) {
  if (mark === hovered) return;
  hovered = mark;
  light();
}

function pin(mark) {
  pinned = pinned === mark ? "" : mark;
  light();
}

// Next region of a finding, also for people who see no pointer.
function step(by) {
  const marks = [...active.root.querySelectorAll(".overlay .outlines [data-mark]")].map((shape) => shape.dataset.mark);
  const names = [...new Set(marks)];
  if (!names.length) return;
  pinned = names[(names.indexOf(pinned) + by + names.length + (pinned ? 0 : by < 0)) % names.length];
  light();
}

// Follows the link of the first selector that there is.
function follow(...selectors) {
  selectors.map((selector) => document.querySelector(`.film-strip ${selector}`)).find(Boolean)?.click();
}

const isMark = (element) => element instanceof Element && (element.closest(".overlay [data-mark]") || element.closest(".reading [data-mark]"));
for (const name of ["pointerover", "focusin"]) {
  document.addEventListener(name, (event) => hover(isMark(event.target)?.dataset.mark ?? ""));
}
document.addEventListener("click", (event) => {
  const name = event.target.closest(".mark-name[role=button]"), shape = event.target.closest(".overlay [data-mark]");
  if (name) pin(name.closest("[data-mark]").dataset.mark);
  if (shape) pin(shape.dataset.mark);
  if (event.target.closest("[data-act=keys]")) dialog.showModal();
});
document.addEventListener("pointerdown", (event) => { active = viewerOf(event.target) ?? active; });
document.addEventListener("focusin", (event) => { active = viewerOf(event.target) ?? active; });
document.addEventListener("change", (event) => {
  const viewer = viewerOf(event.target), { layer } = event.target.dataset;
  if (!viewer) return;
  if (layer) store(layer, event.target.checked);
  if ("heat" in event.target.dataset) viewer.showHeat();
  if (viewer.frame) viewer.render();
});
document.addEventListener("input", (event) => {
  if (!("opacity" in event.target.dataset)) return;
  store("opacity", event.target.value);
  for (const viewer of viewers) showLayers(viewer);
});

const KEYS = {
  "+": () => active.zoomIn(),
  "=": () => active.zoomIn(),
  "-": () => active.zoomOut(),
  0: () => active.fit(),
  1: () => active.actual(),
  r: () => active.turn(1),
  R: () => active.turn(-1),
  i: () => active.invert(),
  x: () => active.reset(),
  n: () => step(1),
  N: () => step(-1),
  "[": () => follow("[rel=prev]"),
  "]": () => follow("[rel=next]"),
  v: () => follow(".alone", ".beside"),
  "?": () => dialog.showModal(),
};
for (const [key, layer] of Object.entries(LAYERS)) KEYS[key] = () => active.toggle(layer);
for (const [key, preset] of Object.entries(PRESETS)) KEYS[key] = () => active.apply(preset);
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
  if (target.matches(".mark-name[role=button]") && (key === "Enter" || key === " ")) {
    event.preventDefault();
    pin(target.closest("[data-mark]").dataset.mark);
    return;
  }
  if (key === "Escape") {
    pinned = "";
    hover("");
    light();
  }
  const isOnFilm = target.matches("canvas");
  if (target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (!active.frame && key !== "?" && !"[]v".includes(key)) return;
  if (isOnFilm && key in ARROWS) {
    const [across, down] = ARROWS[key];
    event.preventDefault();
    if (event.shiftKey) active.window(across * WINDOW, -down * WINDOW);
    else active.pan(-across * PAN, -down * PAN);
  } else if (Object.hasOwn(KEYS, key) && (singleKeys.checked || isOnFilm)) {
    event.preventDefault();
    KEYS[key]();
  }
});

singleKeys.checked = localStorage.getItem(SHORTCUTS_KEY) !== "off";
singleKeys.addEventListener("change", () => localStorage.setItem(SHORTCUTS_KEY, singleKeys.checked ? "on" : "off"));

// Parts of the page are loaded anew when the film is read.
document.addEventListener("htmx:afterSettle", () => {
  for (const viewer of viewers) {
    showLayers(viewer);
    viewer.refresh();
  }
  makeButtons();
  light();
});
for (const viewer of viewers) {
  showLayers(viewer);
  viewer.open();
}
makeButtons();
