"use strict";
const source = document.getElementById("plot");
if (source) {
  const plot = JSON.parse(source.textContent), container = document.getElementById("days");
  const ink = "#c9d3de", grid = "#2b333c", day = 86400;
  const colors = ["#8fc4ff", "#e69f00", "#7fd6a3", "#f0a3c4", "#f0e442", "#d6c3ff", "#ff9c7d", "#a8e0e8"];
  const lines = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const time = { ...lines, space: 90, values: [[day, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1]] };
  const data = [plot.days], series = [{ value: "{YYYY}-{MM}-{DD}" }];
  const number = (u, value) => (value == null ? "" : value.toPrecision(3));
  plot.lines.forEach((line, k) => {
    data.push(line.values);
    series.push({ label: line.device, stroke: colors[k], width: 2, spanGaps: true, points: { show: true }, value: number });
    if (line.reference != null) {
      data.push(plot.days.map(() => line.reference));
      series.push({ label: line.device + " reference", stroke: colors[k], width: 1, dash: [3, 5], points: { show: false }, value: number });
    }
  });
  const size = () => ({ width: container.clientWidth, height: 260 });
  const x = () => [plot.days[0] - day, plot.days[plot.days.length - 1] + day];
  const scales = { x: { range: x }, y: { range: (u, low, high) => [0, Math.max(0.01, high * 1.1)] } };
  const drawn = new uPlot({ ...size(), axes: [time, { ...lines, size: 60 }], scales, series }, data, container);
  addEventListener("resize", () => drawn.setSize(size()));
}
