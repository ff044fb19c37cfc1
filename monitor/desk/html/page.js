"use strict";
// Draws each chart once it can be seen, in the page's own colours, and again when those change.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

const coloured = (part, colours) => {
  if (typeof part === "string") return part.startsWith("--") ? colours.getPropertyValue(part).trim() : part;
  if (Array.isArray(part)) return part; // data: names may begin as they like
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, coloured(value, colours)]));
};

const draw = (place) => {
  const colours = getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue(name).trim();
  const figure = figures[place.dataset.figure];
  const axis = (given) => ({
    automargin: true, fixedrange: true, gridcolor: colour("--line"), zeroline: false, ...given,
  });
  const layout = {
    ...figure.layout,
    xaxis: axis(figure.layout.xaxis),
    yaxis: axis(figure.layout.yaxis),
    margin: { l: 8, r: 14, t: 8, b: 8 },
    font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
    hoverlabel: { bgcolor: colour("--card"), font: { color: colour("--ink") } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  };
  const data = figure.data.map((trace) => coloured(trace, colours));
  Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
};

const drawn = new Set();
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    drawn.add(target);
    draw(target);
  }
}, { rootMargin: "600px" });
const places = [...document.querySelectorAll(".chart")];
places.forEach((place) => seen.observe(place));
dark.addEventListener("change", () => drawn.forEach(draw));
window.addEventListener("beforeprint", () => places.filter((place) => place.offsetParent).forEach(draw));
