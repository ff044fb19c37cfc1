"use strict";
// Three things: the colours, the charts, and staying up to date. A page without them has every number all the same.

const root = document.documentElement;
const system = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

// ------------------------------------------------------------------------------------------- charts

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

const named = (name) => {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
};

// Names of colours stand where plotly wants colours; texts of the data are left as they are.
const coloured = (part) => {
  if (Array.isArray(part)) return part.every((one) => one && typeof one === "object") ? part.map(coloured) : part;
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => [
      key,
      key === "color" && typeof value === "string" && value.startsWith("--") ? named(value) : coloured(value),
    ]),
  );
};

let figures = {};
const readFigures = (from) => {
  const found = from.getElementById("figures");
  figures = found ? JSON.parse(found.textContent) : {};
};

const draw = (place) => {
  const figure = figures[place.dataset.figure];
  if (!figure || typeof Plotly === "undefined") return;
  const axis = (given) => ({ automargin: true, fixedrange: true, gridcolor: named("--line"), zeroline: false, ...given });
  const layout = coloured(figure.layout);
  Plotly.react(place, coloured(figure.data), {
    ...layout,
    xaxis: axis({ tickangle: 0, ...layout.xaxis }),
    yaxis: axis(layout.yaxis),
    margin: { l: 8, r: 14, t: layout.annotations?.length ? 22 : 8, b: 8 },
    font: { family: "system-ui, sans-serif", size: 12, color: named("--ink") },
    hoverlabel: { bgcolor: named("--card"), font: { color: named("--ink") } },
    legend: { orientation: "h", x: 0, y: -0.16, yanchor: "top" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  }, { displayModeBar: false, responsive: true });
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
const watch = (within) => {
  within.querySelectorAll(".chart").forEach((place) => seen.observe(place));
  // What is newest stands on the right, and a phone shows the left.
  within.querySelectorAll(".scroll:has(.heat)").forEach((place) => { place.scrollLeft = place.scrollWidth; });
};
const redraw = () => drawn.forEach((place) => (place.isConnected ? draw(place) : drawn.delete(place)));
readFigures(document);
watch(document);
window.addEventListener("beforeprint", () => document.querySelectorAll(".chart").forEach((place) => place.checkVisibility() && draw(place)));

// ------------------------------------------------------------------------------------------ colours

const button = document.getElementById("theme");
const say = () => button.setAttribute("aria-pressed", String(isDark()));
button.hidden = false;
say();
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* then until the next page */ }
  say();
  redraw();
});
system.addEventListener("change", () => { say(); redraw(); });

// --------------------------------------------------------------------------------------------- live

const pulse = document.getElementById("pulse");
const about = document.body.dataset.live;
const parts = (within) => new Map([...within.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
// What the server said last: charts have changed the page since.
const said = new Map([...parts(document)].map(([name, part]) => [name, part.outerHTML]));

const refresh = async () => {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = JSON.stringify(figures);
  readFigures(fresh);
  const here = parts(document);
  const order = [...parts(fresh)];
  if (order.some(([name]) => !here.has(name)) || here.size !== order.length) {
    keepFocus(() => document.getElementById("main").replaceWith(document.adoptNode(fresh.getElementById("main"))));
    said.clear();
    for (const [name, part] of parts(document)) said.set(name, part.outerHTML);
    watch(document);
  } else {
    for (const [name, part] of order) {
      if (said.get(name) === part.outerHTML) continue;
      said.set(name, part.outerHTML);
      keepFocus(() => {
        const open = [...here.get(name).querySelectorAll("details")].map((one) => one.open);
        here.get(name).replaceWith(document.adoptNode(part));
        [...part.querySelectorAll("details")].forEach((one, i) => { one.open = open[i] ?? one.open; });
      });
      watch(part);
    }
    // A list is sorted anew by who wants attention.
    const lists = new Set(order.map(([name]) => parts(document).get(name).parentElement));
    for (const list of lists) {
      if (list.tagName !== "UL") continue;
      const wanted = order.map(([name]) => parts(document).get(name)).filter((part) => part.parentElement === list);
      if (wanted.some((part, i) => list.children[i] !== part)) keepFocus(() => list.append(...wanted));
    }
  }
  document.title = fresh.title;
  if (before !== JSON.stringify(figures)) redraw();
};

const keepFocus = (change) => {
  const held = document.activeElement;
  const href = held?.getAttribute("href");
  const summary = held?.tagName === "SUMMARY" ? held.textContent : null;
  change();
  if (held?.isConnected) { held.focus({ preventScroll: true }); return; }
  const again = href
    ? [...document.querySelectorAll("a")].find((one) => one.getAttribute("href") === href)
    : [...document.querySelectorAll("summary")].find((one) => one.textContent === summary);
  again?.focus({ preventScroll: true });
};

const clock = () => new Date().toISOString().slice(11, 16);

if (about) {
  let under = Promise.resolve();
  let lost = false;
  const update = (models) => {
    under = under.then(refresh).then(
      () => { pulse.textContent = models.length ? `Updated ${clock()}: ${models.join(", ")}` : `Live since ${clock()}`; },
      () => { pulse.textContent = `Not updated at ${clock()}: the server did not answer`; },
    );
  };
  const source = new EventSource("/live");
  source.addEventListener("changed", (event) => {
    const told = JSON.parse(event.data);
    if (told.fault) { pulse.textContent = `Not live: ${told.fault}`; lost = true; return; }
    const mine = about === "*" || told.models.includes(about);
    if (lost || mine && told.models.length) update(told.models);
    else if (!pulse.textContent) pulse.textContent = `Live since ${clock()}`;
    lost = false;
  });
  source.addEventListener("error", () => { lost = true; pulse.textContent = "Not live: trying again"; });
  window.addEventListener("pagehide", () => source.close());
}
