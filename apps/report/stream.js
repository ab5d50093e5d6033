// One streamed utterance: the sound, its spectrogram, what was written when, and the alignment of every head, all on one time axis.

/** Marks the words of `a` that are not in the longest common subsequence with `b`. */
function differing(a, b) {
  const best = Array.from({ length: a.length + 1 }, () => new Int32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; --i) for (let j = b.length - 1; j >= 0; --j) best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const odd = a.map(() => true);
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) { odd[i++] = false; ++j; }
    else if (best[i + 1][j] >= best[i][j + 1]) ++i;
    else ++j;
  }
  return odd;
}
const wordsOf = (text) => text.split(/\s+/).filter(Boolean);

/** The mean over maps of equal shape, or null. */
function meanMap(maps) {
  const [first] = maps;
  if (maps.length < 2 || maps.some((m) => m.rows !== first.rows || m.columns !== first.columns || m.ms_per_column !== first.ms_per_column)) return null;
  const sum = new Float32Array(first.data.length);
  for (const m of maps) m.data.forEach((v, i) => { sum[i] += v; });
  return { ...first, name: `Mean of ${maps.length} heads`, data: Uint8Array.from(sum, (v) => Math.round(v / maps.length)) };
}

/** Words written at the same moment share one flag; flags go to the first row where they fit. */
function placeFlags(written, x, width) {
  const ruler = el("canvas").getContext("2d");
  ruler.font = `560 12.5px ${css("--sans")}`;
  const flags = [];
  written.forEach((w, index) => {
    const last = flags[flags.length - 1];
    if (last && Math.abs(last.at - w.at) < 1) last.words.push({ ...w, index });
    else flags.push({ at: w.at, words: [{ ...w, index }] });
  });
  const ends = [];
  for (const flag of flags) {
    const need = Math.ceil(flag.words.reduce((sum, w) => sum + ruler.measureText(w.text).width + 5, 12)), at = x(flag.at);
    flag.left = at + need > width && at - need >= 0;
    const begin = flag.left ? at - need : at;
    flag.row = ends.findIndex((taken) => taken.every(([a, b]) => begin >= b || begin + need <= a));
    if (flag.row < 0) flag.row = ends.push([]) - 1;
    ends[flag.row].push([begin, begin + need + 4]);
    flag.x = at;
  }
  return { flags, rows: Math.max(1, ends.length) };
}

function wordTip(w) {
  return [el("b", {}, `“${w.text}”`), el("div", {}, `written at ${seconds(w.at)}` + (isNumber(w.p) ? `, p = ${show(w.p, 3)}` : "")), w.held_by && el("div", { class: "sub" }, `held back before by ${w.held_by}`)];
}

class StreamView {
  constructor(u) {
    this.u = u;
    this.maps = u.alignments.map((a) => ({ ...a, data: bytesOf(a.bytes) }));
    const mean = meanMap(this.maps);
    if (mean) this.maps.unshift(mean);
    this.open = new Set(this.maps.length ? [0] : []);
    this.sound = bytesOf(u.features.bytes);
    this.end = Math.max(u.source_ms, u.features.frames * u.features.ms_per_frame, ...u.written.map((w) => w.at), ...u.alignments.map((a) => a.columns * a.ms_per_column), ...u.source_words.map((w) => w.end), 1);
    this.lanes = el("div", { class: "lanes" });
    this.stage = el("div", { class: "stage", tabindex: 0, "aria-label": "Timeline. Space plays, arrow keys move by a quarter of a second.", onkeydown: (e) => this.key(e) }, this.lanes);
    this.root = el("div", { class: "card" }, this.player(), this.texts(), this.stage, this.trace());
    this.stop = drawn(this.stage, () => this.draw());
  }
  destroy() {
    if (this.audio) this.audio.pause();
    this.stop();
  }

  // ---- sound -----------------------------------------------------------------------------------------------------
  player() {
    const { u } = this, same = u.hypothesis.trim() === u.reference.trim();
    this.wide = window.innerWidth <= 640;
    this.zoom = segments([["fit", "Fit"], ["wide", "Wide"]], this.wide ? "wide" : "fit", (v) => { this.wide = v === "wide"; this.draw(); });
    this.icon = svg("path", { d: "M4 2.5v13l11-6.5z" });
    this.button = el("button", { class: "play", type: "button", "aria-label": "Play", disabled: !u.audio, onclick: () => this.toggle() }, svg("svg", { viewBox: "0 0 18 18" }, this.icon));
    this.clock = el("span", { class: "clock" });
    if (u.audio) {
      this.audio = el("audio", { src: u.audio, preload: "auto" });
      for (const name of ["play", "pause", "ended", "seeked"]) this.audio.addEventListener(name, () => this.follow());
    }
    const early = u.written.filter((w) => w.at < u.source_ms - 1).length, facts = [];
    if (u.written.length) facts.push(["first word after ", el("b", {}, seconds(u.written[0].at))], [el("b", {}, `${early} of ${u.written.length}`), " words before the source ended"]);
    return el("div", { class: "player" }, this.button, el("div", {}, el("h3", {}, u.id), el("div", { class: "facts" }, facts.map((f, i) => [i ? " · " : "", f]))), this.zoom, this.clock,
      u.reference && el("span", { class: same ? "badge same" : "badge" }, same ? "Equal to the reference" : "Differs from the reference"), this.audio);
  }
  toggle() {
    if (!this.audio) return;
    if (this.audio.paused) this.audio.play(); else this.audio.pause();
  }
  seek(ms) {
    this.touched = true;
    if (this.audio) this.audio.currentTime = clamp(ms / 1000, 0, this.audio.duration || ms / 1000);
    this.follow();
  }
  key(event) {
    const step = { ArrowLeft: -250, ArrowRight: 250 }[event.key];
    if (event.key === " ") this.toggle();
    else if (step && this.audio) this.seek(this.audio.currentTime * 1000 + step);
    else return;
    event.preventDefault();
  }
  /** Moves the playhead, and keeps moving it while the sound runs. */
  follow() {
    if (!this.head || !this.root.isConnected) return;
    const { audio } = this, now = audio ? audio.currentTime * 1000 : 0, running = audio && !audio.paused && !audio.ended;
    if (running) this.touched = true;
    if (audio && audio.ended) this.touched = false;
    this.icon.setAttribute("d", running ? "M4 3h3.6v12H4zM10.4 3H14v12h-3.6z" : "M4 2.5v13l11-6.5z");
    this.button.setAttribute("aria-label", running ? "Pause" : "Play");
    this.clock.textContent = `${(now / 1000).toFixed(2)} / ${seconds(this.u.source_ms)}`;
    this.head.style.left = this.gutter + this.x(now) + "px";
    this.head.style.visibility = this.touched ? "visible" : "hidden";
    for (const { node, begin, end } of this.timed) {
      if (end === undefined) node.classList.toggle("later", Boolean(this.touched) && now < begin);
      else node.classList.toggle("now", Boolean(this.touched) && now >= begin && now < end);
    }
    if (running) {
      const seen = this.stage.scrollLeft, at = this.gutter + this.x(now);
      if (at > seen + this.stage.clientWidth - 60 || at < seen) this.stage.scrollLeft = at - this.gutter - 40;
      if (!this.pending) this.pending = requestAnimationFrame(() => { this.pending = 0; this.follow(); });
    }
  }

  // ---- text ------------------------------------------------------------------------------------------------------
  texts() {
    const { u } = this, written = wordsOf(u.hypothesis), wanted = wordsOf(u.reference), list = el("dl", { class: "texts" });
    const marked = (words, odd) => words.map((w, i) => [i ? " " : "", el("span", { class: odd[i] ? "odd" : null }, w)]);
    this.spoken = [];
    if (u.source_words.length) list.append(el("dt", {}, "Source"), el("dd", {}, u.source_words.map((w) => w.text).join(" ")));
    const line = el("dd", {}, marked(written, wanted.length ? differing(written, wanted) : []));
    if (written.length === u.written.length) [...line.children].forEach((node, i) => this.spoken.push({ node, begin: u.written[i].at }));
    list.append(el("dt", {}, "Written"), line);
    if (wanted.length) list.append(el("dt", {}, "Reference"), el("dd", {}, marked(wanted, differing(wanted, written))));
    return list;
  }
  trace() {
    const { u } = this;
    if (!u.written.length) return null;
    const rows = u.written.map((w, i) => el("tr", {}, el("td", { class: "n" }, String(i + 1)), el("td", {}, w.text), el("td", { class: "n" }, seconds(w.at)), el("td", { class: "n" }, isNumber(w.p) ? show(w.p, 3) : "–"), el("td", {}, w.held_by || "–")));
    const heads = [["#", "n"], ["Word", ""], ["Written at", "n"], ["p", "n"], ["Held back before by", ""]];
    return el("details", {}, el("summary", {}, "Trace: every written word"), el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map(([t, c]) => el("th", { class: c }, t)))), el("tbody", {}, rows))));
  }

  // ---- lanes -----------------------------------------------------------------------------------------------------
  draw() {
    const { u } = this, outer = this.stage.clientWidth - 2 * parseFloat(getComputedStyle(this.stage).paddingLeft);
    this.gutter = window.innerWidth <= 640 ? 84 : 128;
    const fit = Math.max(outer - this.gutter - 6, 160), readable = this.readable();
    this.zoom.hidden = readable < fit * 1.05;
    this.width = this.wide ? Math.max(fit, readable) : fit;
    this.visible = Math.min(fit, this.width);
    this.x = (ms) => (ms / this.end) * this.width;
    this.timed = [...this.spoken];
    this.lanes.replaceChildren();
    if (u.source_words.length) this.lane("Source words", 32, (lane) => this.drawSource(lane));
    if (u.features.frames) this.lane(["Spectrogram", el("small", {}, `log-mel, ${u.features.bins} bins`)], 132, (lane) => this.drawSound(lane), (e, ms, y) => this.soundTip(ms, y));
    if (u.written.length) {
      const placed = placeFlags(u.written, this.x, this.width);
      this.lane("Written words", placed.rows * 26 + 12, (lane) => this.drawWritten(lane, placed));
    }
    this.lane("", 26, (lane) => this.drawTicks(lane));
    if (this.maps.length) {
      this.title();
      this.maps.forEach((map, k) => this.drawMap(map, k));
      this.lane("", 26, (lane) => this.drawTicks(lane));
    }
    const line = (name) => el("div", { class: "over " + name });
    this.head = line("playhead");
    this.hover = line("hover");
    this.hover.style.visibility = "hidden";
    this.lanes.append(this.hover, this.head);
    if (u.source_ms > 0 && u.source_ms < this.end - 1) { const mark = line("ending"); mark.style.left = this.gutter + this.x(u.source_ms) + "px"; this.lanes.append(mark); }
    this.follow();
  }
  /** The width at which four in five source words have room for their text. */
  readable() {
    const needs = this.u.source_words.map((w) => (w.text.length * 7.2 + 12) / Math.max(30, w.end - w.begin)).sort((a, b) => a - b);
    return this.end * clamp(needs.length ? needs[Math.floor(needs.length * 0.8)] : 0.06, 0.06, 0.16);
  }
  lane(label, height, fill, hint) {
    const lane = el("div", { class: "lane", style: `width:${this.width}px;height:${height}px` });
    const timeAt = (e) => clamp((e.clientX - lane.getBoundingClientRect().left) / this.width, 0, 1) * this.end;
    lane.addEventListener("pointermove", (e) => {
      this.hover.style.visibility = "visible";
      this.hover.style.left = this.gutter + this.x(timeAt(e)) + "px";
      const content = hint && hint(e, timeAt(e), e.clientY - lane.getBoundingClientRect().top);
      if (content) tip.show(e, content);
      else if (e.target === lane) tip.hide();
    });
    lane.addEventListener("pointerleave", () => { this.hover.style.visibility = "hidden"; tip.hide(); });
    lane.addEventListener("click", (e) => this.seek(timeAt(e)));
    this.lanes.append(el("div", { class: "gutter" }, label), lane);
    fill(lane);
  }
  drawSource(lane) {
    for (const w of this.u.source_words) {
      const node = el("span", { class: "said", style: `left:${this.x(w.begin)}px;width:${Math.max(3, this.x(w.end) - this.x(w.begin))}px` }, this.x(w.end) - this.x(w.begin) > 14 ? w.text : "");
      node.addEventListener("pointermove", (e) => tip.show(e, el("b", {}, w.text), el("div", { class: "sub" }, `${seconds(w.begin)} – ${seconds(w.end)}`)));
      this.timed.push({ node, begin: w.begin, end: w.end });
      lane.append(node);
    }
  }
  drawSound(lane) {
    const { frames, bins, ms_per_frame } = this.u.features, picture = new Uint8Array(frames * bins);
    for (let t = 0; t < frames; ++t) for (let f = 0; f < bins; ++f) picture[(bins - 1 - f) * frames + t] = this.sound[t * bins + f];
    const { canvas, context } = canvasOf(this.width, 132);
    paint(context, picture, bins, frames, rampOf("sound"), null, 0, 0, this.x(frames * ms_per_frame), 132, true);
    lane.append(canvas);
  }
  soundTip(ms, y) {
    const { frames, bins, ms_per_frame, low, high } = this.u.features, t = Math.floor(ms / ms_per_frame), f = clamp(Math.floor((1 - y / 132) * bins), 0, bins - 1);
    if (t >= frames) return [el("b", {}, seconds(ms)), el("div", { class: "sub" }, "after the source ended")];
    return [el("b", {}, seconds(ms)), el("div", {}, `mel bin ${f}: ${show(low + (this.sound[t * bins + f] / 255) * (high - low), 3)}`)];
  }
  drawWritten(lane, { flags }) {
    for (const flag of flags) {
      const top = 6 + flag.row * 26, spot = flag.left ? `right:${this.width - flag.x}px` : `left:${flag.x}px`;
      const words = flag.words.map((w) => { const node = el("span", {}, w.text); node.addEventListener("pointermove", (e) => tip.show(e, wordTip(w))); return node; });
      const node = el("div", { class: flag.left ? "flag left" : "flag", style: `${spot};top:${top}px` }, words);
      const stem = el("i", { class: "stem", style: `left:${flag.x - (flag.left ? 2 : 0)}px;height:${top}px` });
      this.timed.push({ node, begin: flag.at });
      lane.append(stem, node);
    }
  }
  drawTicks(lane) {
    const box = el("div", { class: "ticks" });
    for (const t of niceTicks(0, this.end / 1000, this.width / 80)) {
      const at = this.x(t * 1000);
      if (at > this.width - 14 && at < this.width + 1) continue;
      box.append(el("i", { style: `left:${at}px` }), el("span", { style: `left:${at}px` + (t === 0 ? ";transform:none" : "") }, `${t} s`));
    }
    lane.append(box);
  }
  title() {
    const colours = rampOf("weight"), stops = [0, 32, 64, 96, 128, 160, 192, 224, 255].map((b) => `rgb(${colours[CURVE[b]].join(",")})`);
    const scale = el("span", { class: "scale" }, "0", el("i", { style: `background:linear-gradient(90deg,${stops.join(",")})` }), show(this.maps[0].largest, 3));
    const about = this.named(this.maps[0]) ? ["rows: target tokens, first on top · columns: source chunks · ", el("i", { class: "mark" }), " when the word was written"] : "rows: target tokens, first on top · columns: source chunks";
    this.lanes.append(el("div", { class: "gutter title" }, "Alignment α"), el("div", { class: "about", style: `width:${this.visible}px;left:${this.gutter}px` }, el("span", { class: "facts" }, about), scale));
  }
  /** Rows carry the written words only where there is one row for each of them, or one more for the end of the sentence. */
  named(map) { return map.rows === this.u.written.length || map.rows === this.u.written.length + 1; }
  drawMap(map, k) {
    const open = this.open.has(k), row = open ? 19 : clamp(Math.floor(64 / Math.max(1, map.rows)), 2, 6), height = Math.max(12, row * map.rows), words = this.named(map) ? this.u.written : [];
    const button = el("button", { type: "button", "aria-expanded": String(open), title: `${map.name}: make ${open ? "small" : "large"}`, onclick: () => { if (open) this.open.delete(k); else this.open.add(k); this.draw(); } }, el("span", {}, map.name));
    const nameOf = (i) => (words[i] ? words[i].text : words.length ? "end" : `token ${i + 1}`);
    const label = open ? [button, el("div", { class: "rows", style: `--row:${row}px` }, Array.from({ length: map.rows }, (_, i) => el("span", {}, nameOf(i))))] : button;
    this.lane("", height + (open ? 30 : 6), (lane) => {
      const top = open ? 22 : 0, { canvas, context } = canvasOf(this.width, height), cell = this.x(map.ms_per_column);
      paint(context, map.data, map.rows, map.columns, rampOf("weight"), CURVE, 0, 0, this.x(map.columns * map.ms_per_column), height, cell < 1);
      if (open) {
        context.fillStyle = css("--c1");
        context.strokeStyle = css("--card");
        context.lineWidth = 1.5;
        for (let i = 0; i < Math.min(map.rows, words.length); ++i) {
          context.beginPath();
          context.arc(clamp(this.x(words[i].at), 4, this.width - 4), (i + 0.5) * row, 4, 0, 7);
          context.fill();
          context.stroke();
        }
      }
      canvas.style.top = top + "px";
      lane.append(canvas);
      const gutter = lane.previousElementSibling;
      gutter.replaceChildren(...[label].flat());
      gutter.style.justifyContent = open ? "flex-start" : "center";
      if (open) { button.style.height = "22px"; button.style.fontWeight = "600"; }
      if (!open) gutter.style.paddingBottom = "6px";
    }, (e, ms, y) => {
      const i = Math.floor((y - (open ? 22 : 0)) / row), j = Math.floor(ms / map.ms_per_column);
      if (i < 0 || i >= map.rows) return null;
      const value = j < map.columns ? show((map.data[i * map.columns + j] / 255) * map.largest, 3) : "–";
      return [el("b", {}, `${nameOf(i)}`), tipLine(null, "α", value), el("div", { class: "sub" }, `${map.name} · row ${i + 1} · ${seconds(j * map.ms_per_column)} – ${seconds((j + 1) * map.ms_per_column)}`),
        words[i] && el("div", { class: "sub" }, `written at ${seconds(words[i].at)}`)];
    });
  }
}
/** Square root, so that spread-out mass stays visible beside sharp peaks. */
const CURVE = Uint8Array.from({ length: 256 }, (_, b) => Math.round(Math.sqrt(b / 255) * 255));
