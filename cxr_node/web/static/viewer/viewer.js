// One film that can be windowed, zoomed, moved and rotated, with overlays that follow it.

import { loadFrame, presetsOf, valueAt, WHITE } from "./frame.js";
import { apply, bounded, fitZoom, inverse, keepingPoint, matrixOf, moved } from "./geometry.js";
import { placed } from "./labels.js";
import { makeRenderer } from "./renderer.js";

const MOST_ZOOM = 32, STEP = 1.25, MOST_SAMPLES = 8, SHOWS_PIXELS = 8, SVG = "http://www.w3.org/2000/svg";

export class Viewer {
  constructor(root) {
    this.root = root;
    this.film = root.dataset.film;
    this.stage = root.querySelector(".stage");
    this.canvas = root.querySelector("canvas");
    this.tools = root.querySelector(".tools");
    this.tool = "window";
    this.isInverted = false;
    this.preset = "sent";
    this.pointers = new Map();
    this.lit = new Set();
    this.isFitted = true;
    this.scheduled = 0;
    this.pointer = null;
    this.stopped = new AbortController();
  }

  // Loads the film and shows it instead of the picture; on a failure the picture stays.
  async open() {
    const say = (text) => { this.root.querySelector("[data-state]").textContent = text; };
    this.root.classList.add("scripted");
    this.root.querySelector(".readout").hidden = false;
    say("Loading all values of the film …");
    try {
      this.frame = await loadFrame(this.film, this.stopped.signal);
    } catch (error) {
      say(error.message);
      return;
    }
    this.presets = presetsOf(this.frame);
    [this.low, this.high] = this.presets.sent;
    const { draw, canvas } = makeRenderer(this.canvas, this.frame);
    this.draw = draw;
    this.canvas = canvas;
    canvas.addEventListener("restored", () => this.render());
    this.canvas.hidden = false;
    this.tools.hidden = false;
    this.root.classList.add("ready");
    this.view = { zoom: 1, column: this.frame.columns / 2, row: this.frame.rows / 2, turns: 0 };
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.listen();
    this.refresh();
  }

  // The size of the stage on the screen; the canvas has a pixel for each of the screen.
  get box() {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  resize() {
    const scale = devicePixelRatio, { width, height } = this.box;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    if (this.isFitted) this.view.zoom = fitZoom(this.frame, this.view.turns, this.box);
    this.move(this.view);
  }

  // Shows another part of the film.
  move(view) {
    const least = fitZoom(this.frame, view.turns, this.box);
    const zoom = Math.min(Math.max(view.zoom, Math.min(least, 1)), MOST_ZOOM);
    this.isFitted = Math.abs(zoom - least) < 1e-9;
    this.view = bounded({ ...view, zoom }, this.frame, this.box);
    this.render();
  }

  render() {
    if (!this.scheduled) this.scheduled = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.scheduled = 0;
    const scale = devicePixelRatio, matrix = matrixOf(this.view, this.frame, this.box);
    // At 1:1 the pixels of film and screen coincide: no value is interpolated.
    for (const name of ["e", "f"]) matrix[name] = Math.round(matrix[name] * scale) / scale;
    this.matrix = matrix;
    const back = inverse(matrix), pixels = Math.hypot(back.a, back.b) / scale;
    this.draw({
      matrix: { a: back.a / scale, b: back.b / scale, c: back.c / scale, d: back.d / scale, e: back.e, f: back.f },
      low: this.low,
      high: this.high,
      isInverted: this.isInverted,
      isSmooth: pixels > 1 / SHOWS_PIXELS,
      samples: Math.min(Math.ceil(pixels - 1e-6), MOST_SAMPLES),
    });
    this.paintOverlay();
    this.paintState();
  }

  paintOverlay() {
    const svg = this.root.querySelector(".overlay svg");
    if (!svg) return;
    const { a, b, c, d, e, f } = this.matrix, { width, height } = this.box;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.querySelector(".scene").setAttribute("transform", `matrix(${a} ${b} ${c} ${d} ${e} ${f})`);
    this.paintLabels(svg);
  }

  paintLabels(svg) {
    const group = svg.querySelector(".labels"), { width, height } = this.box;
    const corners = [apply(this.matrix, 0, 0), apply(this.matrix, this.frame.columns, this.frame.rows)];
    const limited = (value, most) => Math.min(Math.max(value, 0), most);
    const x = corners.map((corner) => limited(corner.x, width)), y = corners.map((corner) => limited(corner.y, height));
    const area = { x: Math.min(...x), y: Math.min(...y), width: Math.abs(x[0] - x[1]), height: Math.abs(y[0] - y[1]) };
    const shown = [...svg.querySelectorAll("[data-label]")].filter((shape) => this.isShown(shape));
    const texts = shown.map((shape) => {
      const text = document.createElementNS(SVG, "text"), [column, row] = shape.dataset.at.split(" ").map(Number);
      text.textContent = shape.dataset.label;
      return { text, shape, ...apply(this.matrix, column, row) };
    });
    group.replaceChildren(...texts.map(({ text }) => text));
    const sizes = texts.map(({ text }) => text.getBBox());
    const labels = texts.map(({ x, y }, index) => ({ x, y, width: sizes[index].width, height: sizes[index].height }));
    placed(labels, area).forEach((box, index) => {
      const { text, shape, x, y } = texts[index];
      if (!box) return text.remove();
      text.setAttribute("x", box.x);
      text.setAttribute("y", box.y - sizes[index].y);
      text.classList.toggle("lit", shape.classList.contains("lit"));
      const edge = { x: limited(x - box.x, box.width) + box.x, y: limited(y - box.y, box.height) + box.y };
      if (Math.hypot(edge.x - x, edge.y - y) < 12) return undefined;
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", `M${x} ${y}L${edge.x} ${edge.y}`);
      group.prepend(line);
      return undefined;
    });
  }

  isShown(shape) {
    return shape.classList.contains("lit") || getComputedStyle(shape).visibility === "visible";
  }

  // The value under the pointer, or in the middle; and what is shown.
  paintState() {
    const { width, height } = this.box, { x, y } = this.pointer ?? { x: width / 2, y: height / 2 };
    const at = apply(inverse(this.matrix), x, y), value = valueAt(this.frame, at.x, at.y);
    const place = this.pointer ? "" : " in the middle";
    this.root.querySelector("[data-value]").textContent = value === null
      ? "Outside of the film." : `Column ${Math.floor(at.x)}, row ${Math.floor(at.y)}${place}: value ${value}.`;
    const percent = Math.round(this.view.zoom * devicePixelRatio * 100);
    this.root.querySelector("[data-state]").textContent =
      `Window ${Math.round(this.low)} to ${Math.round(this.high)}. Zoom ${percent} %.`;
    this.tools.querySelector("[data-preset]").value = this.preset;
    for (const button of this.tools.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.tool));
    }
    this.tools.querySelector("[data-act=invert]").setAttribute("aria-pressed", String(this.isInverted));
  }

  // What a button or a key does.

  zoomBy(factor, x = this.box.width / 2, y = this.box.height / 2) {
    const least = fitZoom(this.frame, this.view.turns, this.box);
    const zoom = Math.min(Math.max(this.view.zoom * factor, Math.min(least, 1)), MOST_ZOOM);
    this.move(keepingPoint(this.view, { zoom }, this.frame, this.box, x, y));
  }

  zoomIn() { this.zoomBy(STEP); }

  zoomOut() { this.zoomBy(1 / STEP); }

  fit() { this.move({ ...this.view, zoom: fitZoom(this.frame, this.view.turns, this.box) }); }

  actual() { this.zoomBy(1 / devicePixelRatio / this.view.zoom); }

  turn(steps = 1) {
    const turns = (this.view.turns + steps + 4) % 4, wasFitted = this.isFitted;
    const view = keepingPoint(this.view, { turns }, this.frame, this.box, this.box.width / 2, this.box.height / 2);
    this.move(wasFitted ? { ...view, zoom: fitZoom(this.frame, turns, this.box) } : view);
  }

  invert() {
    this.isInverted = !this.isInverted;
    this.render();
  }

  reset() {
    this.isInverted = false;
    this.apply("sent");
    this.view.turns = 0;
    this.fit();
  }

  apply(preset) {
    this.preset = preset;
    [this.low, this.high] = this.presets[preset];
    this.render();
  }

  // Widens the window, and moves it towards brighter values: the film gets darker.
  window(wider, darker) {
    const width = Math.max(this.high - this.low + wider, 16), middle = (this.low + this.high) / 2 + darker;
    this.low = middle - width / 2;
    this.high = middle + width / 2;
    this.preset = "custom";
    this.render();
  }

  pan(dx, dy) { this.move(moved(this.view, this.frame, this.box, dx, dy)); }

  toggle(layer) {
    const box = this.root.querySelector(`[data-layer=${layer}]`);
    if (box && !box.disabled) box.click();
  }

  // Shows again what the part of the page that was loaded anew does not know: layers, opacity, highlight.
  refresh() {
    const opacity = this.root.querySelector(".opacity");
    if (opacity) opacity.hidden = false;
    if (!this.frame) return;
    this.showHeat();
    this.light(this.lit);
  }

  showHeat() {
    const select = this.root.querySelector("[data-heat]");
    for (const image of this.root.querySelectorAll("[data-heat-of]")) {
      image.classList.toggle("other", Boolean(select) && image.dataset.heatOf !== select.value);
    }
  }

  fade(percent) {
    for (const part of this.root.querySelectorAll(".overlay .scene, .overlay .labels")) part.style.opacity = percent / 100;
  }

  // Highlights the shapes of findings and measurements by their keys.
  light(marks) {
    this.lit = new Set(marks);
    const svg = this.root.querySelector(".overlay svg");
    if (!svg) return;
    for (const shape of svg.querySelectorAll("[data-mark]")) shape.classList.toggle("lit", this.lit.has(shape.dataset.mark));
    const select = this.root.querySelector("[data-heat]");
    const heat = [...this.root.querySelectorAll("[data-heat-of]")].find((image) => this.lit.has(image.dataset.heatOf));
    if (select && heat && select.value !== heat.dataset.heatOf) {
      select.value = heat.dataset.heatOf;
      this.showHeat();
    }
    if (this.frame) this.render();
  }

  // Input.

  listen() {
    const stage = this.stage;
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.release(event));
    stage.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.render();
    });
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = this.place(event), lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 32 : 1;
      this.zoomBy(Math.exp(-event.deltaY * lines * 0.0015), x, y);
    }, { passive: false });
    stage.addEventListener("dblclick", () => (this.isFitted ? this.actual() : this.fit()));
    stage.addEventListener("contextmenu", (event) => {
      if (event.shiftKey) event.preventDefault();
    });
    this.tools.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.tool) this.tool = button.dataset.tool;
      if (button?.dataset.act) this[button.dataset.act]?.();
      this.render();
    });
    this.tools.querySelector("[data-preset]").addEventListener("change", (event) => this.apply(event.target.value));
  }

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  press(event) {
    if (event.button > 1) return;
    if (event.button === 1) event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.isPanning = this.tool === "pan" || event.button === 1 || event.shiftKey;
  }

  drag(event) {
    const at = this.place(event), before = this.pointers.get(event.pointerId);
    if (event.pointerType !== "touch") this.pointer = at;
    if (!before) {
      this.render();
    } else if (this.pointers.size === 1) {
      this.dragOne(at.x - before.x, at.y - before.y);
    } else {
      this.pinch(event.pointerId, before, at);
    }
    if (before) this.pointers.set(event.pointerId, at);
  }

  dragOne(dx, dy) {
    const perPixel = WHITE / 512;
    if (this.isPanning) this.pan(dx, dy);
    else this.window(dx * perPixel, -dy * perPixel);
  }

  // Two fingers: their distance zooms around their middle, which moves the film.
  pinch(pointer, before, at) {
    const other = [...this.pointers].find(([id]) => id !== pointer)[1];
    const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y);
    this.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    if (distance(before) > 0) this.zoomBy(distance(at) / distance(before), (at.x + other.x) / 2, (at.y + other.y) / 2);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
  }
}
