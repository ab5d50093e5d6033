// One attention head: its scores as a heat map with the pattern on it, the error of every band, and the figures.

/** Square roots spread small weights, which softmax has most of. */
const SOFTENED = Array.from({ length: 256 }, (_, b) => Math.round(Math.sqrt(b / 255) * 255));

/** The outline of a band: right edges downwards, left edges back up. */
function bandPath(band, x, y) {
  const rows = band.map(([first, end], i) => ({ first, end, i })).filter((r) => r.end > r.first);
  if (!rows.length) return "";
  const right = rows.flatMap((r) => [[r.end, r.i], [r.end, r.i + 1]]), left = rows.flatMap((r) => [[r.first, r.i], [r.first, r.i + 1]]).reverse();
  return "M" + [...right, ...left].map(([c, r]) => `${x(c).toFixed(1)} ${y(r).toFixed(1)}`).join("L") + "Z";
}

function patternOf(h, x, y) {
  const rect = (kind, c, r, width, height) => svg("rect", { class: kind, x: x(c), y: y(r), width: x(c + width) - x(c), height: y(r + height) - y(r) });
  return [
    h.pattern_columns.map((c) => rect("column", c, 0, 1, h.rows)),
    h.blocks.map(([first, end]) => rect("block", first, first, end - first, end - first)),
    svg("path", { class: "band", d: bandPath(h.band, x, y) }),
    h.residual.map(([r, c]) => rect("entry", c, r, 1, 1)),
  ];
}

function inPattern(h, r, c) {
  if (h.band.length && c >= h.band[r][0] && c < h.band[r][1]) return "band";
  if (h.pattern_columns.includes(c)) return "a column";
  if (h.blocks.some(([first, end]) => r >= first && r < end && c >= first && c < end)) return "a block";
  return h.residual.some(([i, j]) => i === r && j === c) ? "the residual" : "not stored";
}

function heatCard(h) {
  const bytes = bytesOf(h.bytes), host = el("div", { class: "heat" });
  let pattern = true;
  const draw = (width) => {
    const height = Math.round(clamp((width / h.columns) * h.rows, Math.min(width / 3, h.rows * 14), width * 1.5));
    const x = (c) => (c / h.columns) * width, y = (r) => (r / h.rows) * height, { canvas, context } = canvasOf(width, height);
    paint(context, bytes, h.rows, h.columns, rampOf("weight"), SOFTENED, 0, 0, width, height, false);
    host.replaceChildren(canvas, svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Scores of ${h.name}, ${h.rows} rows, ${h.columns} columns` }, pattern && patternOf(h, x, y)));
  };
  host.addEventListener("pointermove", (event) => {
    const box = host.getBoundingClientRect(), c = clamp(Math.floor(((event.clientX - box.left) / box.width) * h.columns), 0, h.columns - 1);
    const r = clamp(Math.floor(((event.clientY - box.top) / box.height) * h.rows), 0, h.rows - 1), named = (names, i) => (names.length ? `${i}  ${names[i]}` : String(i));
    tip.show(event, tipLine(null, "row", named(h.row_names, r)), tipLine(null, "column", named(h.column_names, c)), tipLine(null, "weight", show((bytes[r * h.columns + c] / 255) * h.largest, 3)), el("div", { class: "sub" }, inPattern(h, r, c)));
  });
  host.addEventListener("pointerleave", tip.hide);
  drawn(host, draw);
  const choice = segments([["on", "Pattern"], ["off", "Scores"]], "on", (v) => { pattern = v === "on"; draw(host.clientWidth); });
  return el("div", { class: "card" }, el("div", { class: "head" }, el("h3", {}, h.name), el("span", { class: "badge" }, h.role), el("span", { class: "grow" }), choice), host,
    el("p", { class: "facts", style: "margin:8px 0 0" }, `Sentence ${h.sentence}: ${h.rows} rows (down), ${h.columns} columns; darkest `, el("b", {}, show(h.largest, 3))));
}

function headCards(h) {
  const facts = el("dl", { class: "summary" }, h.facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  return el("div", { class: "heads" }, heatCard(h), lineChart(h.errors), el("div", { class: "card" }, facts));
}
