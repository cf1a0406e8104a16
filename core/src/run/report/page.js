"use strict";
for (const figure of document.querySelectorAll(".preview")) {
  const slider = figure.querySelector("input");
  if (!slider) continue;
  const frames = figure.querySelectorAll("img");
  const output = figure.querySelector("output");
  slider.addEventListener("input", () => {
    frames.forEach((frame, index) => { frame.hidden = index !== Number(slider.value); });
    output.textContent = "step " + frames[slider.value].dataset.step;
  });
}
for (const figure of document.querySelectorAll(".chart")) {
  const chart = JSON.parse(figure.dataset.chart);
  const [left, right, top, bottom] = chart.plot;
  const [x0, x1] = chart.x;
  const svg = figure.querySelector("svg");
  const plot = figure.querySelector(".plot");
  const cursor = document.createElementNS(svg.namespaceURI, "path");
  cursor.setAttribute("class", "cursor");
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  plot.append(tip);
  const row = (name, value) => {
    const line = document.createElement("div");
    const parts = [name, value].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
    line.append(...parts);
    return line;
  };
  const nearest = (points, x) => {
    let low = 0, high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle; else high = middle;
    }
    return x - points[low][0] < points[high][0] - x ? points[low] : points[high];
  };
  const hide = () => { tip.hidden = true; cursor.remove(); };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const at = Math.min(right, Math.max(left, (event.clientX - box.left) * scale));
    const wanted = x0 + (at - left) / (right - left) * (x1 - x0);
    const found = chart.series.filter((one) => one.points.length).map((one) => [one.name, nearest(one.points, wanted)]);
    if (!found.length) return hide();
    const step = found.reduce((a, b) => Math.abs(b[1][0] - wanted) < Math.abs(a[1][0] - wanted) ? b : a)[1][0];
    const across = left + (step - x0) / (x1 - x0) * (right - left);
    cursor.setAttribute("d", `M${across} ${top}V${bottom}`);
    svg.append(cursor);
    tip.replaceChildren(row(chart.unit, step.toLocaleString()),
      ...found.map(([name, point]) => row(name, point[1] === null ? "–" : String(point[1]))));
    tip.hidden = false;
    const place = across / scale;
    tip.style.left = (place > box.width / 2 ? place - tip.offsetWidth - 12 : place + 12) + "px";
  });
}
