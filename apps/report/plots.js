// Line charts of training, and quality against latency.
const COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"];

/** Axes with rules, tick texts and labels; x(v) and y(v) give pixels. */
function axes(frame, xr, yr, labels, { logY = false, xTicks } = {}) {
  const { left, top, width, height } = frame;
  const x = (v) => left + ((v - xr[0]) / (xr[1] - xr[0])) * width;
  const f = logY ? Math.log : (v) => v;
  const y = (v) => top + height - ((f(v) - f(yr[0])) / (f(yr[1]) - f(yr[0]))) * height;
  const group = svg("g", {});
  for (const t of logY ? logTicks(...yr) : niceTicks(...yr, Math.max(3, height / 38)))
    group.append(svg("line", { class: "rule", x1: left, x2: left + width, y1: y(t), y2: y(t) }), svg("text", { x: left - 8, y: y(t) + 4, "text-anchor": "end" }, tickText(t)));
  for (const t of niceTicks(...xr, xTicks || Math.max(2, width / 68)))
    group.append(svg("line", { class: "axis", x1: x(t), x2: x(t), y1: top + height, y2: top + height + 4 }), svg("text", { x: x(t), y: top + height + 18, "text-anchor": "middle" }, tickText(t)));
  group.append(svg("line", { class: "axis", x1: left, x2: left + width, y1: top + height, y2: top + height }));
  group.append(svg("text", { class: "label", x: left + width, y: top + height + 36, "text-anchor": "end" }, labels[0]));
  group.append(svg("text", { class: "label", x: 0, y: 11 }, labels[1]));
  return { x, y, group };
}

function range(values, pad) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (isNumber(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low === Infinity) return [0, 1];
  const room = high > low ? (high - low) * pad : Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

function pathOf(xs, ys, x, y, valid = isNumber) {
  let out = "", pen = false;
  for (let i = 0; i < xs.length; ++i) {
    if (!valid(ys[i])) { pen = false; continue; }
    out += (pen ? "L" : "M") + x(xs[i]).toFixed(1) + " " + y(ys[i]).toFixed(1);
    pen = true;
  }
  return out;
}

/** Mean over `reach` neighbours on either side, for curves with many points; centred, so it does not lag behind. */
function smoothed(ys, reach) {
  const sum = [0], count = [0];
  ys.forEach((v, i) => { sum.push(sum[i] + (isNumber(v) ? v : 0)); count.push(count[i] + (isNumber(v) ? 1 : 0)); });
  return ys.map((v, i) => {
    const r = Math.min(reach, i, ys.length - 1 - i), n = count[i + r + 1] - count[i - r];
    return isNumber(v) && n ? (sum[i + r + 1] - sum[i - r]) / n : null;
  });
}

function nearest(xs, v) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) { const mid = (low + high) >> 1; if (xs[mid] < v) low = mid; else high = mid; }
  return Math.abs(xs[low] - v) <= Math.abs(xs[high] - v) ? low : high;
}

function lineChart(chart) {
  const curves = chart.curves.filter((c) => c.y.some(isNumber)).map((c, i) => ({ ...c, colour: `var(${COLOURS[i % COLOURS.length]})`, on: true, noisy: c.y.length > 200 }));
  for (const c of curves) c.line = c.noisy ? smoothed(c.y, Math.ceil(c.y.length / 80)) : c.y;
  const all = curves.flatMap((c) => c.y.filter(isNumber));
  const canLog = all.length > 0 && Math.min(...all) > 0 && Math.max(...all) / Math.min(...all) > 8;
  let scale = "linear";
  const host = el("div", {});
  const draw = (width) => {
    const on = curves.filter((c) => c.on), frame = { left: 52, top: 24, width: width - 62, height: 200 }, logY = scale === "log";
    let yr = range(on.flatMap((c) => c.y), 0.05);
    const floor = Math.min(...on.flatMap((c) => c.y.filter(isNumber)));
    if (logY) yr = [floor / 1.1, yr[1]];
    else if (floor >= 0) yr[0] = Math.max(0, yr[0]);
    const xr = range(curves.flatMap((c) => c.x), 0), { x, y, group } = axes(frame, xr, yr, [chart.x_label, chart.y_label], { logY });
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${width} 264`, height: 264, role: "img", "aria-label": `${chart.title}: ${curves.map((c) => c.name).join(", ")}` }, group);
    for (const c of on) {
      if (c.noisy) plot.append(svg("path", { d: pathOf(c.x, c.y, x, y), fill: "none", stroke: c.colour, "stroke-width": 1, opacity: 0.25 }));
      plot.append(svg("path", { d: pathOf(c.x, c.line, x, y), fill: "none", stroke: c.colour, "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" }));
      if (c.x.length <= 40) c.x.forEach((v, i) => isNumber(c.y[i]) && plot.append(svg("circle", { cx: x(v), cy: y(c.y[i]), r: 2.6, fill: c.colour })));
    }
    const cross = svg("g", { visibility: "hidden" });
    plot.append(cross);
    plot.addEventListener("pointermove", (event) => {
      const at = xr[0] + ((event.clientX - plot.getBoundingClientRect().left - frame.left) / frame.width) * (xr[1] - xr[0]);
      if (!on.length) return;
      const hits = on.map((c) => ({ c, i: nearest(c.x, clamp(at, ...xr)) }));
      const lead = hits.reduce((a, b) => (Math.abs(b.c.x[b.i] - at) < Math.abs(a.c.x[a.i] - at) ? b : a));
      const v = lead.c.x[lead.i];
      cross.replaceChildren(svg("line", { class: "cross", x1: x(v), x2: x(v), y1: frame.top, y2: frame.top + frame.height }));
      for (const { c, i } of hits) if (isNumber(c.y[i])) cross.append(svg("circle", { cx: x(c.x[i]), cy: y(c.line[i]), r: 4, fill: c.colour, stroke: "var(--card)", "stroke-width": 2 }));
      cross.setAttribute("visibility", "visible");
      tip.show(event, el("div", { class: "sub" }, `${chart.x_label} ${show(v, 7)}`), hits.map(({ c, i }) => tipLine(c.colour, c.x[i] === v ? c.name : `${c.name} at ${show(c.x[i], 7)}`, show(c.y[i]))));
    });
    plot.addEventListener("pointerleave", () => { cross.setAttribute("visibility", "hidden"); tip.hide(); });
    host.replaceChildren(plot);
  };
  const redraw = () => draw(host.clientWidth);
  const legend = el("div", { class: "legend" }, curves.map((c) => el("button", { type: "button", "aria-pressed": "true", title: "Show or hide", onclick: (e) => {
    c.on = !c.on;
    e.currentTarget.setAttribute("aria-pressed", String(c.on));
    redraw();
  } }, el("i", { style: `background:${c.colour}` }), c.name + (c.noisy ? " (smoothed)" : ""))));
  const head = el("div", { class: "head" }, el("h3", {}, chart.title), el("span", { class: "grow" }), canLog && segments([["linear", "Linear"], ["log", "Log"]], scale, (v) => { scale = v; redraw(); }));
  drawn(host, draw);
  return el("div", { class: "card" }, head, host, legend);
}

const QUALITY = { exact_match: "Exact match (%)", bleu: "BLEU" };
const LATENCY = { al: "Average lagging (ms)", laal: "Length-adaptive average lagging (ms)" };

function systemsOf(points) {
  let used = 0;
  return [...new Set(points.map((p) => p.system))].map((name) => {
    const level = /offline/i.test(name);
    return { name, level, colour: level ? "var(--soft)" : `var(${COLOURS[used++ % COLOURS.length]})`, points: points.filter((p) => p.system === name) };
  });
}

const marker = (system, cx, cy, index) => system.level ? svg("path", { d: `M${cx} ${cy - 7}l7 7l-7 7l-7 -7z`, fill: system.colour, stroke: "var(--card)", "stroke-width": 2 })
  : index % 2 ? svg("rect", { x: cx - 5, y: cy - 5, width: 10, height: 10, rx: 2, fill: system.colour, stroke: "var(--card)", "stroke-width": 2 })
  : svg("circle", { cx, cy, r: 6, fill: system.colour, stroke: "var(--card)", "stroke-width": 2 });

/** Places a text near (x, y) where it covers no earlier one; gives up when there is no room. */
function tag(plot, taken, text, x, y, attributes, frame) {
  const width = text.length * 6.3, height = 13;
  for (const [dx, dy, anchor] of [[0, -11, "middle"], [0, 21, "middle"], [11, 4, "start"], [-11, 4, "end"], [9, -9, "start"], [9, 18, "start"]]) {
    const left = x + dx - (anchor === "middle" ? width / 2 : anchor === "end" ? width : 0), top = y + dy - height + 3;
    if (left < frame.left || left + width > frame.left + frame.width + 10 || top < 0) continue;
    if (taken.some((t) => left < t[0] + t[2] && t[0] < left + width && top < t[1] + t[3] && t[1] < top + height)) continue;
    taken.push([left, top, width, height]);
    plot.append(svg("text", { x: x + dx, y: y + dy, "text-anchor": anchor, ...attributes }, text));
    return;
  }
}

function qualityLatency(points) {
  const systems = systemsOf(points), has = (key) => points.some((p) => isNumber(p[key]));
  const state = { quality: has("exact_match") ? "exact_match" : "bleu", latency: has("al") ? "al" : "laal" };
  const host = el("div", {});
  const draw = (width) => {
    const frame = { left: 46, top: 28, width: width - 60, height: clamp(width * 0.4, 240, 380) }, total = frame.top + frame.height + 40;
    const xr = range(points.map((p) => p[state.latency]), 0.06), yr = range(points.map((p) => p[state.quality]), 0.1).map((v) => clamp(v, 0, 100));
    if (xr[0] < 0 && points.every((p) => !(p[state.latency] < 0))) xr[0] = 0;
    const { x, y, group } = axes(frame, xr, yr, [LATENCY[state.latency] + " → later", QUALITY[state.quality] + " ↑ better"]);
    const plot = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${total}`, height: total, role: "img", "aria-label": `${QUALITY[state.quality]} against ${LATENCY[state.latency]}` }, group), taken = [], names = [];
    const shown = systems.map((s) => s.points.filter((p) => isNumber(p[state.quality]) && (isNumber(p[state.latency]) || s.level)).sort((a, b) => a[state.latency] - b[state.latency]));
    systems.forEach((s, k) => {
      const at = shown[k].filter((p) => isNumber(p[state.latency]));
      if (s.level) for (const p of shown[k]) plot.append(svg("line", { x1: frame.left, x2: frame.left + frame.width, y1: y(p[state.quality]), y2: y(p[state.quality]), stroke: s.colour, "stroke-width": 1.5, "stroke-dasharray": "2 5", "stroke-linecap": "round" }));
      else plot.append(svg("path", { d: pathOf(at.map((p) => p[state.latency]), at.map((p) => p[state.quality]), x, y), fill: "none", stroke: s.colour, "stroke-width": 2.5, "stroke-linejoin": "round" }));
      at.forEach((p, i) => {
        const px = x(p[state.latency]), py = y(p[state.quality]);
        taken.push([px - 7, py - 7, 14, 14]);
        if (s.level || !i) return;
        const bx = x(at[i - 1][state.latency]), by = y(at[i - 1][state.quality]), pieces = Math.ceil(Math.hypot(px - bx, py - by) / 6);
        for (let q = 1; q < pieces; ++q) taken.push([bx + ((px - bx) * q) / pieces - 1, by + ((py - by) * q) / pieces - 1, 2, 2]);  // names keep off the lines
      });
    });
    systems.forEach((s, k) => shown[k].forEach((p, i) => {
      if (!isNumber(p[state.latency])) return;
      const mark = marker(s, x(p[state.latency]), y(p[state.quality]), k);
      mark.addEventListener("pointermove", (event) => tip.show(event, el("b", {}, `${s.name} ${p.label}`), tipLine(null, "Exact match", isNumber(p.exact_match) ? show(p.exact_match) + " %" : "–"), tipLine(null, "BLEU", show(p.bleu)), tipLine(null, "AL", milliseconds(p.al)), tipLine(null, "LAAL", milliseconds(p.laal))));
      mark.addEventListener("pointerleave", tip.hide);
      plot.append(mark);
      if (p.label) names.push([p.label, x(p[state.latency]), y(p[state.quality])]);
    }));
    for (const [text, px, py] of names) tag(plot, taken, text, px, py, { class: "tag" }, frame);
    host.replaceChildren(plot);
  };
  const redraw = () => draw(host.clientWidth);
  const choose = (map, key) => Object.keys(map).filter(has).length > 1 && segments(Object.entries(map).map(([k, text]) => [k, key === "latency" ? k.toUpperCase() : text.replace(" (%)", "")]), state[key], (v) => { state[key] = v; redraw(); });
  const legend = el("div", { class: "legend" }, systems.map((s) => el("span", { style: "display:inline-flex;align-items:center;gap:7px;font-size:13px;margin-right:10px" }, el("i", { style: `background:${s.colour};width:12px;height:12px;border-radius:4px` }), s.name)));
  drawn(host, draw);
  const rows = systems.flatMap((s) => s.points.map((p) => el("tr", {}, el("th", { scope: "row" }, s.name), el("td", {}, p.label), ...[show(p.exact_match), show(p.bleu), milliseconds(p.al), milliseconds(p.laal)].map((v) => el("td", { class: "n" }, v)))));
  const table = el("table", {}, el("thead", {}, el("tr", {}, ["System", "Setting"].map((t) => el("th", {}, t)), ["Exact match (%)", "BLEU", "AL", "LAAL"].map((t) => el("th", { class: "n" }, t)))), el("tbody", {}, rows));
  return el("div", { class: "card" }, el("div", { class: "head" }, legend, el("span", { class: "grow" }), choose(QUALITY, "quality"), choose(LATENCY, "latency")), host, el("details", {}, el("summary", {}, "All points as a table"), el("div", { class: "scroll" }, table)));
}
