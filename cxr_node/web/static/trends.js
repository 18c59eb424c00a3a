"use strict";
const plots = JSON.parse(document.getElementById("plots").textContent);
const ink = "#c9d3de", grid = "#2b333c", first = "#8fc4ff", second = "#e69f00", day = 86400;
const lines = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
const time = { ...lines, values: [[day, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1]] };

function draw(id, data, x, series) {
  const container = document.getElementById(id);
  if (!data[0].length) { container.textContent = "No film in this period."; return; }
  const size = () => ({ width: container.clientWidth, height: 220 });
  const scales = { x: { range: x }, y: { range: (u, low, high) => [0, Math.max(1, high * 1.1)] } };
  const plot = new uPlot({ ...size(), axes: [time, lines], scales, series: [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...series] }, data, container);
  addEventListener("resize", () => plot.setSize(size()));
}

const span = (data, around) => () => [data[0][0] - around, data[0][data[0].length - 1] + around];
draw("hours", plots.hours, span(plots.hours, 0), [{ label: "films", stroke: first, fill: "rgba(143,196,255,0.3)", paths: uPlot.paths.bars({ size: [0.9] }) }]);
const quantiles = [["p50", first, []], ["p90", "#56b4e9", [2, 3]], ["p95", "#009e73", [8, 3]], ["p99", second, [6, 4]]];
draw("days", plots.days, span(plots.days, day), quantiles.map(([name, stroke, dash]) => ({ label: `${name}, s`, stroke, width: 2, dash, points: { show: true } })));
