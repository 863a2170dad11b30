// The chart of analysis.widgets.chart.Chart: lines, bands and points as SVG, drawn anew whenever `figure` changes.

const MARGIN = { right: 12, top: 8, bottom: 34 };
const LEFT = 46; // pixels left of the axes, more where the numbers are long
const NS = "http://www.w3.org/2000/svg";
const SHAPES = {
  o: "M-1,0A1,1 0 1,0 1,0A1,1 0 1,0 -1,0Z",
  s: "M-.9,-.9H.9V.9H-.9Z",
  "^": "M0,-1.1L1,.8H-1Z",
  v: "M0,1.1L1,-.8H-1Z",
  D: "M0,-1.2L1.2,0L0,1.2L-1.2,0Z",
  P: "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
  X: "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
  h: "M-1,-.5L0,-1.1L1,-.5V.5L0,1.1L-1,.5Z",
};
const DASHES = { "-": "", "--": "6 4", ":": "2 3" };

function svg(tag, attributes, parent) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.appendChild(element);
  return element;
}

function text(parent, content, attributes) {
  svg("text", attributes, parent).textContent = content;
}

function ticks([low, high], log, most) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const factor of [1, 2, 5]) found.push(factor * 10 ** power);
    }
    const inside = found.filter((x) => x >= low * 0.999 && x <= high * 1.001);
    return inside.length > most ? inside.filter((x) => /^1(e|$|0*$)|^0\.0*1$/.test(String(x))) : inside;
  }
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((f) => f >= raw * 0.999);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + 1e-9 * step; x += step) found.push(+x.toPrecision(6));
  return found;
}

function mark(parent, { marker = "o", colour, size = 5 }, x, y, attributes = {}) {
  return svg("path", { d: SHAPES[marker] ?? SHAPES.o, transform: `translate(${x},${y}) scale(${size})`,
    fill: colour, "vector-effect": "non-scaling-stroke", ...attributes }, parent);
}

// Writes the labels of points: the current one's first, then from the last on, each on the first of four sides where it
// lies on no other label; without such a side it is left out.
function label(drawn) {
  const taken = [];
  const order = drawn.filter(({ point }) => point.label).reverse();
  for (const { point, group, x, y } of order.sort((a, b) => !!b.point.current - !!a.point.current)) {
    const width = 7 * String(point.label).length;
    const sides = [[8, -6], [8, 14], [-8 - width, -6], [-8 - width, 14]].map(([right, down]) => [x + right, y + down]);
    const free = ([left, base]) => taken.every(([other, its, wide]) =>
      left >= other + wide || other >= left + width || Math.abs(base - its) >= 12);
    const side = sides.find(free);
    if (!side) continue;
    taken.push([...side, width]);
    text(group, point.label, { x: side[0], y: side[1] });
  }
}

function legend(parent, entries) {
  parent.replaceChildren();
  for (const entry of entries) {
    if (!entry.name || entry.unlisted) continue;
    const item = document.createElement("span");
    const swatch = svg("svg", { width: 20, height: 10 }, item);
    if (entry.marker && !entry.line) mark(swatch, { ...entry, size: 4 }, 10, 5);
    else if (entry.low) svg("rect", { width: 20, height: 10, fill: entry.colour, opacity: 0.25 }, swatch);
    else svg("path", { d: "M0,5H20", stroke: entry.colour, "stroke-width": entry.width ?? 2,
      "stroke-dasharray": DASHES[entry.dash] ?? "" }, swatch);
    item.append(entry.name);
    parent.append(item);
  }
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "diffse-chart";
  root.innerHTML = '<div class="diffse-chart-title"></div><div class="diffse-legend"></div>';
  const [title, key] = root.children;
  const plot = svg("svg", { class: "diffse-plot", role: "img" }, root);
  el.appendChild(root);

  function draw() {
    const figure = model.get("figure");
    const width = root.clientWidth;
    if (!width || !figure.x) return;
    const height = model.get("height");
    const { x: across, y: up } = figure;
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("height", height);
    plot.setAttribute("aria-label", `${figure.title}: ${up.label} against ${across.label}`);
    plot.replaceChildren();
    title.textContent = figure.title;
    const rows = ticks(up.limits, up.log, (height - MARGIN.top - MARGIN.bottom) / 28);
    const left = Math.max(LEFT, 22 + 6.4 * Math.max(0, ...rows.map((v) => String(v).length)));
    const inner = { w: width - left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
    const place = ({ limits: [low, high], log }, v) =>
      log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
    const X = (v) => left + inner.w * place(across, v);
    const Y = (v) => MARGIN.top + inner.h * (1 - place(up, v));

    const axes = svg("g", {}, plot);
    for (const v of ticks(across.limits, across.log, inner.w / 55)) {
      svg("path", { d: `M${X(v)},${MARGIN.top}v${inner.h}`, stroke: "currentColor", opacity: 0.14 }, axes);
      text(axes, v, { x: X(v), y: height - 19, "text-anchor": "middle" });
    }
    for (const v of rows) {
      svg("path", { d: `M${left},${Y(v)}h${inner.w}`, stroke: "currentColor", opacity: 0.14 }, axes);
      text(axes, v, { x: left - 5, y: Y(v) + 4, "text-anchor": "end" });
    }
    const frame = `M${left},${MARGIN.top}v${inner.h}h${inner.w}`;
    svg("path", { d: frame, stroke: "currentColor", fill: "none", opacity: 0.7 }, axes);
    text(axes, across.label, { x: left + inner.w / 2, y: height - 4, "text-anchor": "middle" });
    const middle = MARGIN.top + inner.h / 2;
    text(axes, up.label, { transform: `translate(11,${middle}) rotate(-90)`, "text-anchor": "middle" });

    const clip = `diffse-clip-${Math.random().toString(36).slice(2)}`;
    const box = svg("clipPath", { id: clip }, plot);
    svg("rect", { x: left, y: MARGIN.top - 1, width: inner.w + 1, height: inner.h + 2 }, box);
    const inside = svg("g", { "clip-path": `url(#${clip})` }, plot);
    for (const [low, high] of figure.shades) {
      const x = X(Math.max(low, across.limits[0]));
      const end = X(Math.min(high, across.limits[1]));
      if (end > x) svg("rect", { x, y: MARGIN.top, width: end - x, height: inner.h, fill: "currentColor", opacity: 0.1 }, inside);
    }
    for (const line of figure.lines) {
      const path = (ys) => line.x.map((x, k) => `${X(x).toFixed(2)},${Y(ys[k]).toFixed(2)}`);
      if (line.low) {
        const around = path(line.low).concat(path(line.high).reverse());
        svg("path", { d: `M${around.join("L")}Z`, fill: line.colour, opacity: 0.22 }, inside);
        continue;
      }
      const points = path(line.y).filter((p) => !/NaN|Infinity/.test(p));
      if (!points.length) continue;
      const look = { stroke: line.colour, "stroke-width": line.width ?? 2, "stroke-dasharray": DASHES[line.dash] ?? "" };
      svg("path", { d: `M${points.join("L")}`, fill: "none", "data-line": line.name, ...look }, inside);
    }
    label(figure.points.map((point) => drawPoint(point, X(point.x), Y(point.y))));
    legend(key, figure.lines.concat(figure.points.filter((point) => point.name)));
    plot.dataset.draws = 1 + Number(plot.dataset.draws ?? 0);
  }

  function drawPoint(point, x, y) {
    const group = svg("g", {}, plot);
    const ring = point.current ? { stroke: "currentColor", "stroke-width": 2 } : { stroke: "white", "stroke-width": 0.8 };
    const dot = mark(group, { size: point.current ? 7 : 5, ...point }, x, y, { ...ring, opacity: point.faint ? 0.45 : 1 });
    if (point.tip) svg("title", {}, group).textContent = point.tip;
    const drawn = { point, group, x, y };
    if (point.pick === undefined || point.pick === null) return drawn;
    dot.classList.add("diffse-pick");
    group.setAttribute("role", "button");
    group.setAttribute("tabindex", 0);
    group.setAttribute("aria-label", `Go back to ${point.tip ?? point.label}`);
    group.setAttribute("data-lm-suppress-shortcuts", "true");
    const pick = () => {
      model.set("picked", point.pick);
      model.save_changes();
    };
    group.addEventListener("click", pick);
    group.addEventListener("keydown", (event) => event.key === "Enter" && pick());
    return drawn;
  }

  const sizes = new ResizeObserver(draw);
  sizes.observe(root);
  model.on("change:figure", draw);
  draw();
  return () => {
    sizes.disconnect();
    model.off("change:figure", draw);
  };
}

export default { render };
