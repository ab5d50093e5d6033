// Assembles the page from the embedded data.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent), main = document.getElementById("main"), nav = document.getElementById("nav");

  function section(id, title, lead, ...content) {
    nav.append(el("a", { href: "#" + id }, title));
    main.append(el("section", { id }, el("h2", {}, title), lead && el("p", { class: "lead" }, lead), content));
  }

  // ---- light and dark: the system's choice, then the button; #dark and #light in the address also choose ----------------
  const system = matchMedia("(prefers-color-scheme: dark)"), button = document.getElementById("theme");
  function setTheme(name) {
    document.documentElement.dataset.theme = name;
    button.textContent = name === "dark" ? "Light" : "Dark";
    for (const again of redraws) again();
  }
  const wanted = /^#(light|dark)$/.exec(location.hash);
  setTheme(wanted ? wanted[1] : system.matches ? "dark" : "light");
  system.addEventListener("change", () => setTheme(system.matches ? "dark" : "light"));
  button.addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));

  // ---- summary ------------------------------------------------------------------------------------------------------------
  function summary(rows) {
    let tiles = 0;
    while (tiles < Math.min(4, rows.length) && rows[tiles][1].length <= 14) ++tiles;
    main.append(el("div", { class: "tiles" }, rows.slice(0, tiles).map(([name, value]) => el("div", { class: "card tile" }, el("b", {}, value), el("span", {}, name)))));
    const rest = rows.slice(tiles);
    if (rest.length) main.append(el("div", { class: "card", style: "margin-top:12px" }, el("dl", { class: "summary", style: "margin:0" }, rest.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))));
  }

  // ---- utterances: one at a time --------------------------------------------------------------------------------------------
  function streams(utterances) {
    const host = el("div", {}), tabs = el("div", { class: "picker", role: "tablist", "aria-label": "Utterances" });
    let view = null;
    const choose = (k, focus) => {
      if (view) view.destroy();
      view = new StreamView(utterances[k]);
      host.replaceChildren(view.root);
      [...tabs.children].forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === k));
        tab.tabIndex = i === k ? 0 : -1;
      });
      if (focus) tabs.children[k].focus();
    };
    utterances.forEach((u, k) => {
      const same = u.reference && u.hypothesis.trim() === u.reference.trim();
      tabs.append(el("button", { type: "button", role: "tab", onclick: () => choose(k) }, el("b", {}, el("i", { class: same ? "dot same" : "dot" }), u.id), el("span", {}, `${seconds(u.source_ms)} · ${u.written.length} words`)));
    });
    tabs.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key], at = [...tabs.children].indexOf(document.activeElement);
      if (step && at >= 0) choose((at + step + utterances.length) % utterances.length, true);
    });
    const chosen = /^#utterance-(\d+)$/.exec(location.hash);
    choose(chosen ? Math.min(Number(chosen[1]), utterances.length - 1) : 0, false);
    return [utterances.length > 1 && tabs, host];
  }

  // ---- settings -------------------------------------------------------------------------------------------------------------
  function flatten(value, path, out) {
    if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) for (const key of Object.keys(value)) flatten(value[key], [...path, key], out);
    else out.push([path, typeof value === "string" ? value : JSON.stringify(value)]);
    return out;
  }
  function settings(title, value) {
    const groups = new Map();
    for (const [path, text] of flatten(value, [], [])) {
      const group = path.length > 1 ? path[0] : "";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([path.length > 1 ? path.slice(1).join(".") : path.join("."), text]);
    }
    const blocks = [...groups].map(([name, rows]) => el("div", {}, name && el("h4", {}, name), rows.map(([key, text]) => el("div", { class: "row" }, el("span", {}, key), el("span", {}, text)))));
    const raw = JSON.stringify(value, null, 2);
    return el("div", { class: "card", style: "margin-bottom:16px" }, el("div", { class: "head" }, el("h3", {}, title)), el("div", { class: "settings" }, blocks),
      el("details", { style: "margin-top:12px" }, el("summary", {}, "As JSON"), el("pre", { style: "overflow:auto;font:12px/1.5 var(--mono);margin:6px 0 0" }, raw)));
  }

  if (data.summary.length) summary(data.summary);
  if (data.points.length) section("quality", "Quality and latency", "Up is better, left is sooner. Each point is one setting over the whole test set; the dotted line is the quality when the whole source is heard first.", qualityLatency(data.points));
  if (data.utterances.length) section("streams", "Streamed utterances", "Play the sound and watch the words appear. Hover for values, click anywhere on the time axis to listen from there.", streams(data.utterances));
  if (data.heads.length) section("heads", "Heads", "The scores of one sentence with the pattern that approximates them drawn over: band and blocks as outlines, columns as stripes, the sparse residual as squares. Hover for values.", data.heads.map(headCards));
  const charts = data.charts.filter((c) => c.curves.some((k) => k.y.some(isNumber)));
  if (charts.length) section("training", "Training", "", el("div", { class: "grid", style: "margin-top:14px" }, charts.map(lineChart)));
  const blocks = [["Configuration", data.config], ["Environment", data.environment]].filter(([, value]) => value !== null);
  if (blocks.length) section("settings", "Settings", "", el("div", { style: "margin-top:14px" }, blocks.map(([name, value]) => settings(name, value))));
})();
