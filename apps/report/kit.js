"use strict";
// Small tools that the page is built from: elements, numbers, scales, colours, the tooltip. All text enters the page as text, never as HTML.
const SVG = "http://www.w3.org/2000/svg";

function fillIn(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") node.style.cssText = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}
const el = (name, attributes, ...children) => fillIn(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fillIn(document.createElementNS(SVG, name), attributes, children);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const isNumber = (v) => typeof v === "number" && Number.isFinite(v);

function show(value, digits = 4) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace("e+", "e");
  return value.toLocaleString("en", { maximumSignificantDigits: Math.max(digits, size >= 1 ? Math.floor(Math.log10(size)) + 1 : 1) });
}
const seconds = (ms) => (ms / 1000).toFixed(2) + " s";
const milliseconds = (ms) => (isNumber(ms) ? Math.round(ms).toLocaleString("en") + " ms" : "–");

/** Round values inside [low, high], about `count` of them, 1, 2 or 5 times a power of ten apart. */
function niceTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough * 0.72) * power;
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}
function logTicks(low, high) {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e)
    for (const m of high / low > 1e3 ? [1] : [1, 2, 5]) if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001) ticks.push(Number((m * 10 ** e).toPrecision(6)));
  return ticks;
}
/** "12k" for steps, plain below ten thousand. */
function tickText(v) {
  const size = Math.abs(v);
  if (size >= 1e6) return Number((v / 1e6).toPrecision(4)) + "M";
  if (size >= 1e4) return Number((v / 1e3).toPrecision(4)) + "k";
  return size !== 0 && size < 1e-4 ? v.toExponential(0) : String(Number(v.toPrecision(6)));
}

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** 256 RGB entries through evenly spaced stops. */
function ramp(stops) {
  const rgb = stops.map((s) => [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, b) => {
    const at = (b / 255) * (rgb.length - 1), i = Math.min(rgb.length - 2, Math.floor(at));
    return rgb[i].map((v, c) => Math.round(v + (rgb[i + 1][c] - v) * (at - i)));
  });
}
const RAMPS = {
  light: {
    sound: ramp(["#ffffff", "#edf1fa", "#c9d5ee", "#8fa6d8", "#5468b4", "#2e2f7d", "#120f38"]),
    weight: ramp(["#f4f5f8", "#dbe6ff", "#a5c0ff", "#5f8bf5", "#2f5fe0", "#1b3ba6", "#0f2266"]),
  },
  dark: {
    sound: ramp(["#10141c", "#1d1b3f", "#4b2172", "#8f2f7d", "#d64f6a", "#f79b5f", "#fdf0c0"]),
    weight: ramp(["#1a202b", "#1d315f", "#27509f", "#3f7be0", "#7ea2ff", "#b9ceff", "#f2f6ff"]),
  },
};
const theme = () => document.documentElement.dataset.theme;
const rampOf = (kind) => RAMPS[theme()][kind];

/** Draws bytes [rows, columns] (row 0 on top) into the given rectangle of a canvas. */
function paint(context, bytes, rows, columns, colours, curve, x, y, width, height, smooth) {
  if (!rows || !columns) return;
  const image = new ImageData(columns, rows);
  for (let i = 0; i < bytes.length; ++i) {
    const [r, g, b] = colours[curve ? curve[bytes[i]] : bytes[i]];
    image.data.set([r, g, b, 255], i * 4);
  }
  const buffer = document.createElement("canvas");
  buffer.width = columns;
  buffer.height = rows;
  buffer.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(buffer, x, y, width, height);
}

/** A canvas of the given size in CSS pixels, sharp on any screen. */
function canvasOf(width, height) {
  const scale = window.devicePixelRatio || 1, canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale), style: `width:${width}px;height:${height}px` });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return { canvas, context };
}

const tip = {
  show(event, ...content) {
    const box = document.getElementById("tip");
    box.replaceChildren(...content.flat(3).filter(Boolean));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const x = event.clientX + 16 + width > window.innerWidth - 8 ? event.clientX - width - 14 : event.clientX + 16;
    box.style.left = Math.max(8, x) + "px";
    box.style.top = clamp(event.clientY + 16, 8, window.innerHeight - height - 8) + "px";
  },
  hide() { document.getElementById("tip").hidden = true; },
};
const tipLine = (colour, name, value) => el("div", { class: "line" }, colour && el("i", { style: `background:${colour}` }), el("span", {}, name), el("b", {}, value));

/** Draws now, when the width changes and when the theme changes. draw(width) fills `host`. */
const redraws = new Set();
function drawn(host, draw) {
  let last = 0;
  const again = () => host.isConnected && host.clientWidth && draw((last = host.clientWidth));
  redraws.add(again);
  const watch = new ResizeObserver(() => host.clientWidth !== last && requestAnimationFrame(again));
  watch.observe(host);
  return () => { redraws.delete(again); watch.disconnect(); };
}

/** Buttons of which one is on. */
function segments(options, chosen, change) {
  const box = el("div", { class: "segments", role: "group" });
  const set = (value) => { for (const b of box.children) b.setAttribute("aria-pressed", String(b.dataset.value === value)); };
  for (const [value, text] of options) box.append(el("button", { type: "button", "data-value": value, onclick: () => { set(value); change(value); } }, text));
  set(chosen);
  return box;
}
