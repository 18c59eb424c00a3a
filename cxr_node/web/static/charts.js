// Draws the charts of a page: each element with data-chart names one in the JSON of the element "charts".
"use strict";
const day = 86400;
const dates = [[day, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1]];
const drawn = [];

// Colors of the present theme; a chart is drawn anew when the preference changes.
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function series(lines) {
  const number = (u, value) => (value == null ? "" : Number(value.toPrecision(3)).toString());
  return lines.map((line, k) => {
    const stroke = color(`--series-${((line.color ?? k) % 8) + 1}`);
    const bars = line.bars ? { paths: uPlot.paths.bars({ size: [0.9] }), fill: stroke + "59" } : {};
    return { label: line.label, stroke, width: line.bars ? 1 : 2, dash: line.dash, spanGaps: true, value: number, points: { show: !line.bars }, ...bars };
  });
}

function options(chart, container) {
  const ink = color("--text"), grid = color("--edge");
  const lines = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, labelSize: 18, labelFont: "13px system-ui, sans-serif", font: "12px system-ui, sans-serif" };
  const around = chart.step || 0, first = chart.x[0] - around, last = chart.x[chart.x.length - 1] + around;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const isTime = chart.time !== undefined, isUtc = chart.time === "UTC";
  const title = isTime ? `${chart.x_title} (${isUtc ? "UTC" : zone})` : chart.x_title;
  const x = { ...lines, label: title, space: 80, ...(isTime ? { values: dates } : {}) };
  const y = { ...lines, label: chart.y_title, size: 56 };
  const scales = { x: { time: isTime, range: () => [first, last] }, y: { range: (u, low, high) => [0, Math.max(chart.least || 1, (high || 0) * 1.1)] } };
  const format = isTime ? "{YYYY}-{MM}-{DD}" + (isUtc ? "" : " {HH}:{mm}") : undefined;
  const tzDate = isUtc ? (at) => uPlot.tzDate(new Date(at * 1e3), "UTC") : (at) => new Date(at * 1e3);
  // The last date, whose middle may lie at the right edge, is not cut.
  const padding = [null, isTime ? 38 : 16, null, null];
  return { width: container.clientWidth, height: 240, padding, axes: [x, y], scales, tzDate, series: [{ label: chart.x_title, value: format }, ...series(chart.lines)] };
}

function draw() {
  for (const plot of drawn.splice(0)) plot.destroy();
  const source = document.getElementById("charts");
  const charts = source ? JSON.parse(source.textContent) : {};
  for (const container of document.querySelectorAll("[data-chart]")) {
    const chart = charts[container.dataset.chart];
    if (!chart || !chart.x.length) {
      container.classList.add("empty");
      for (const name of ["role", "aria-label"]) container.removeAttribute(name); // text, no picture
      container.textContent = container.dataset.empty || "No film in this period.";
      continue;
    }
    drawn.push(new uPlot(options(chart, container), [chart.x, ...chart.lines.map((line) => line.values)], container));
  }
}

draw();
matchMedia("(prefers-color-scheme: light)").addEventListener("change", draw);
// When the part of the page with the charts was loaded again, they are empty.
document.addEventListener("htmx:afterSwap", () => { if (document.querySelector("[data-chart]:empty")) draw(); });
addEventListener("resize", () => { for (const plot of drawn) plot.setSize({ width: plot.root.parentElement.clientWidth, height: 240 }); });
