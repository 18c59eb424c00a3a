// Page of the phantom: each change asks for a film, one at a time; what is changed meanwhile is in the next.

const AGAIN_MS = 400;
const SVG = "http://www.w3.org/2000/svg";

const form = document.getElementById("lesson"), state = document.getElementById("lesson-state");
const stage = document.querySelector(".lesson .stage"), canvas = stage.querySelector("canvas"), svg = stage.querySelector("svg");
let isAsking = false, isChanged = false, lungs = null;

function showValues() {
  for (const input of form.querySelectorAll("[type=range]")) {
    const value = input.dataset.unit === "%" ? Math.round(100 * input.value) : input.value;
    const text = `${value} ${input.dataset.unit}`.replace(" °", "°");
    form.querySelector(`output[for=${input.id}]`).textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
}

function set(values) {
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  change();
}

function change() {
  showValues();
  isChanged = true;
  if (!isAsking) ask();
}

async function ask() {
  isAsking = true;
  try {
    while (isChanged) await takeFilm();
  } finally {
    isAsking = false;
  }
}

async function takeFilm() {
  isChanged = false;
  const since = performance.now();
  const response = await fetch(`/learn/film?${new URLSearchParams(new FormData(form))}`).catch(() => null);
  if (response?.redirected) { // the session has ended
    location.reload();
  } else if (response?.ok) {
    show(await response.json());
    state.textContent = `Taken and read in ${((performance.now() - since) / 1000).toFixed(1)} s.`;
  } else if (response?.status === 429) { // another page of the same person
    isChanged = true;
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  } else {
    state.textContent = "The film could not be computed: change anything to try again.";
  }
}

function show(film) {
  paint(film);
  draw(film);
  lungs = film.lungs;
  const name = film.not_analysed ? `Film of the phantom, not analysed: ${film.not_analysed}` : "Film of the phantom";
  canvas.setAttribute("aria-label", name);
  rows("findings", film.findings, finding);
  rows("borders", film.borders, border);
  rows("zones", film.zones, (zone) => [cell("th", zone.zone), cell("td", zone.right, "n"), cell("td", zone.left, "n")]);
  for (const [name, value] of Object.entries(film.ratio)) document.querySelector(`[data-value=${name}]`).textContent = value;
}

function paint(film) {
  const gray = Uint8Array.from(atob(film.gray), (character) => character.charCodeAt(0));
  const image = new ImageData(film.columns, film.rows);
  gray.forEach((value, at) => image.data.set([value, value, value, 255], 4 * at));
  [canvas.width, canvas.height] = [film.columns, film.rows];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function draw(film) {
  svg.setAttribute("viewBox", `0 0 ${film.columns} ${film.rows}`);
  svg.replaceChildren(...film.layers.map((layer) => {
    const group = element("g", { class: `layer ${layer.key}` });
    group.append(...layer.shapes.map((shape) => {
      const path = element("path", { class: shape.style, d: shape.path });
      path.append(Object.assign(element("title", {}), { textContent: shape.name }));
      return path;
    }));
    return group;
  }));
}

function rows(name, values, cells) {
  const made = values.map((value) => {
    const row = document.createElement("tr");
    row.append(...cells(value));
    return row;
  });
  document.querySelector(`[data-rows=${name}]`).replaceChildren(...made);
}

function finding({ name, presence, score, threshold, percent, threshold_percent: point }) {
  const head = cell("th", name), bar = cell("td", ""), last = cell("td", score, "n");
  head.append(document.createElement("br"), Object.assign(document.createElement("span"), { className: `presence ${presence}`, textContent: presence }));
  last.append(document.createElement("br"), Object.assign(document.createElement("span"), { className: "quiet", textContent: `of ${threshold}` }));
  const picture = element("svg", { class: "bar", viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": `score ${score}, threshold ${threshold}` });
  picture.append(
    element("rect", { class: "ground", width: 100, height: 12 }),
    element("rect", { class: presence, width: percent.toFixed(2), height: 12 }),
    element("rect", { class: "point", x: Math.max(point - 0.5, 0).toFixed(2), width: 1, height: 12 }),
  );
  bar.append(picture);
  return [head, bar, last];
}

function border({ name, state: word, detail, lobe }) {
  const points = word === "obscured" && lobe ? `obscured: ${lobe}` : word;
  return [cell("th", name), cell("td", points, word === "obscured" ? "obscured" : ""), cell("td", detail)];
}

function cell(tag, text, style = "") {
  const made = Object.assign(document.createElement(tag), { textContent: text, className: style });
  if (tag === "th") made.scope = "row";
  return made;
}

function element(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const share = (value) => Math.min(Math.max(value, 0), 1).toFixed(2);

// Moves the consolidation to the place in the lung that was clicked; one that is not there yet becomes visible.
stage.addEventListener("click", ({ clientX, clientY }) => {
  if (!lungs) return;
  const box = stage.getBoundingClientRect();
  const column = (clientX - box.left) / box.width * canvas.width, row = (clientY - box.top) / box.height * canvas.height;
  const middle = (lungs.right[2] + lungs.left[0]) / 2, side = column < middle ? "right" : "left";
  const [left, top, right, bottom] = lungs[side], edge = side === "right" ? left : right;
  const radius = Number(form.elements.radius.value) || 30;
  set({ side, across: share((column - middle) / (edge - middle)), down: share((row - top) / (bottom - top)), radius });
});

form.addEventListener("input", change);
form.addEventListener("submit", (event) => event.preventDefault());
for (const button of form.querySelectorAll("[data-preset]")) {
  button.addEventListener("click", () => set(JSON.parse(button.dataset.preset)));
}
change();
