
"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const trials = facts.trials, spots = facts.spots, arms = facts.arms;
  const make = (tag, words, name) => {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words; // never markup: settings may hold anything
    if (name) element.className = name;
    return element;
  };
  const draw = (tag, values, ...inside) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    element.append(...inside);
    return element;
  };
  const pairs = (rows) => {
    const list = make("dl", undefined, "pairs");
    for (const [name, value] of rows) {
      const row = make("div");
      row.append(make("dt", name), make("dd", value));
      list.append(row);
    }
    return list;
  };
  const percent = (value) => (value / 100).toFixed(1) + " %"; // curves come as whole hundredths of a per cent
  const round = (value) => Math.round(value * 10) / 10;

  // A trial, told: what became of it, its nets, its curve, what was drawn for it.
  const nets = (trial) => {
    const table = make("table", undefined, "nets"), head = make("tr");
    for (const name of ["dendrites", ...(facts.held ? [facts.held] : []), "parameters", "accuracy", "95 %"]) {
      const cell = make("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = make("tbody");
    for (const index of trial.spots) {
      const spot = spots[index], row = make("tr");
      row.dataset.spot = index;
      const cells = [spot.d, ...(facts.held ? [spot.z] : []), spot.p, spot.a, spot.i];
      row.append(...cells.map((words) => make("td", words)));
      if (spot.f) row.cells[0].prepend(make("span", spot.f === "front" ? "★ " : "☆ ", "star"));
      body.append(row);
    }
    const top = make("thead");
    top.append(head);
    table.append(top, body);
    const scroll = make("div", undefined, "scroll");
    scroll.append(table);
    const stars = new Set(trial.spots.map((index) => spots[index].f).filter(Boolean));
    const meaning = [...stars].map((words) => (words === "front" ? "★ on the front" : "☆ on the front of its arm")).join(", ");
    if (meaning) scroll.append(make("p", meaning + "; intervals are over seeds", "stars"));
    return scroll;
  };
  const curve = (trial) => {
    const W = 400, H = 250, left = 42, right = 8, top = 30, bottom = 38;
    const { e, a, lo, hi, ph, planned } = trial.curve, last = a.length - 1;
    const end = Math.max(planned || 0, e[last]), sorted = [...lo].sort((x, y) => x - y), most = Math.max(...hi);
    const early = sorted[Math.floor(sorted.length / 5)];
    // The first epochs' climb says little and would press the end into a line.
    let low = Math.max(sorted[0], early - 0.35 * (most - early)), high = most;
    const room = Math.max((high - low) * 0.08, 60);
    low = Math.max(0, low - room); high = Math.min(10000, high + room);
    const X = (epoch) => round(left + (epoch - 0.5) / end * (W - left - right));
    const Y = (value) => round(H - bottom - (value - low) / (high - low) * (H - top - bottom));
    const said = `Validation accuracy over ${a.length} epochs of trial ${trial.key}, at the end ${percent(a[last])}. Arrow keys read out each epoch.`;
    const svg = draw("svg", { viewBox: `0 0 ${W} ${H}`, class: "chart trialcurve", role: "img", tabindex: "0", "aria-label": said });
    const step = [50, 100, 200, 500, 1000, 2000].find((size) => (high - low) / size <= 6) || 2500;
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      svg.append(draw("line", { x1: left, x2: W - right, y1: Y(value), y2: Y(value), class: "grid" }));
      svg.append(draw("text", { x: left - 6, y: Y(value) + 4.5, "text-anchor": "end" }, String(value / 100)));
    }
    const every = [1, 2, 5, 10, 20, 50, 100, 200].find((size) => end / size <= 8) || 500;
    for (let epoch = every; epoch <= end; epoch += every) {
      svg.append(draw("text", { x: X(epoch), y: H - bottom + 17, "text-anchor": "middle" }, String(epoch)));
    }
    ph.forEach(([name, first, until], index) => {
      const x = X(first - 0.5), width = round(X(until + 0.5) - x);
      svg.append(draw("rect", { x, y: 4, width, height: 18, class: "phase p" + index % 4 }, draw("title", {}, `${name}: epochs ${first} to ${until}`)));
      if (width > 6.9 * name.length + 6) svg.append(draw("text", { x: round(x + width / 2), y: 17, "text-anchor": "middle", class: "phasename" }, name));
      if (index) svg.append(draw("line", { x1: x, x2: x, y1: top - 8, y2: H - bottom, class: "growthline" }));
    });
    const cut = draw("svg", { x: left, y: top - 6, width: W - left - right, height: H - top - bottom + 6, viewBox: `${left} ${top - 6} ${W - left - right} ${H - top - bottom + 6}`, class: "cut" });
    const way = (values) => values.map((value, k) => X(e[k]) + " " + Y(value));
    cut.append(draw("path", { class: "band", d: "M" + [...way(hi), ...way(lo).reverse()].join("L") + "Z" }));
    cut.append(draw("path", { class: "series", d: "M" + way(a).join("L") + (last ? "" : "h1") }));
    svg.append(cut, draw("line", { x1: left, x2: W - right, y1: H - bottom, y2: H - bottom, class: "axis" }));
    if (end > e[last]) {
      svg.append(draw("line", { x1: X(e[last]), x2: X(e[last]), y1: top - 6, y2: H - bottom, class: "endline" }));
      const beside = X(e[last]) < W - 110;
      svg.append(draw("text", { x: X(e[last]) + (beside ? 5 : -5), y: H - bottom - 8, "text-anchor": beside ? "start" : "end", class: "label" }, trial.state === "running" ? "so far" : trial.state));
    }
    for (const index of trial.spots) {
      const { e: epoch, v, d } = spots[index];
      if (!epoch || v < low) continue;
      const mark = draw("g", { class: "netmark", transform: `translate(${X(Math.min(epoch, e[last]))} ${Y(v)})`, "data-spot": index });
      mark.append(draw("path", { d: "M0 -5.5L5.5 0L0 5.5L-5.5 0Z" }), draw("title", {}, `${d} dendrites: ${spots[index].a}`));
      svg.append(mark);
    }
    svg.append(draw("text", { x: (left + W - right) / 2, y: H - 4, "text-anchor": "middle", class: "label" }, "Epoch"));
    const cursor = draw("line", { y1: top - 6, y2: H - bottom, class: "cursor", visibility: "hidden" });
    svg.append(cursor);
    const readout = make("span", "", "readout");
    readout.setAttribute("aria-live", "polite");
    let place = -1;
    const read = (index) => {
      place = index;
      cursor.setAttribute("visibility", index < 0 ? "hidden" : "visible");
      if (index < 0) { readout.textContent = ""; return; }
      cursor.setAttribute("x1", X(e[index])); cursor.setAttribute("x2", X(e[index]));
      const seeds = lo[index] < hi[index] ? ` (${percent(lo[index])} to ${percent(hi[index])})` : "";
      readout.textContent = `epoch ${e[index]}: ${percent(a[index])}${seeds}`;
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const epoch = ((event.clientX - box.left) / box.width * W - left) / (W - left - right) * end + 0.5;
      let nearest = 0;
      e.forEach((value, index) => { if (Math.abs(value - epoch) < Math.abs(e[nearest] - epoch)) nearest = index; });
      read(nearest);
    });
    svg.addEventListener("pointerleave", () => read(-1));
    svg.addEventListener("blur", () => read(-1));
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: place + 1, ArrowLeft: place < 0 ? last : place - 1, Home: 0, End: last };
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      read(Math.max(0, Math.min(last, steps[event.key])));
    });
    const figure = make("figure", undefined, "a" + trial.arm % 6), caption = make("figcaption");
    caption.append(make("b", "Validation accuracy (%)"), readout);
    figure.append(caption, svg);
    return figure;
  };
  const tell = (trial, spot) => {
    const heading = make("h3", "Trial " + trial.key), place = make("p", undefined, "place");
    place.append(make("i", undefined, "dot s-" + trial.state), `${arms[trial.arm]} · ${trial.state}${trial.place ? " · " + trial.place : ""}`);
    const parts = [heading, place];
    if (trial.why) parts.push(make("p", trial.why, "why"));
    if (trial.curve) parts.push(curve(trial));
    if (trial.spots.length) parts.push(make("h4", trial.spots.length > 1 ? "Its nets" : "Its net"), nets(trial));
    if (trial.rows.length) parts.push(make("h4", "Trial"), pairs(trial.rows));
    for (const [name, rows] of trial.drawn) parts.push(make("h4", name), pairs(rows));
    const box = make("div", undefined, "told");
    box.dataset.trial = trial.key;
    box.append(...parts);
    for (const part of box.querySelectorAll("[data-spot]")) part.classList.toggle("on", part.dataset.spot === String(spot));
    return box;
  };

  // The panel beside the front, the sheet over the page for all that is opened from elsewhere.
  const panel = document.getElementById("trial"), sheet = document.getElementById("sheet");
  const charts = [...document.querySelectorAll(".front")];
  const mark = (trial, spot) => {
    for (const chart of charts) {
      const own = trial.spots.map((index) => chart.querySelector(`.p[data-spot="${index}"]`)).filter(Boolean);
      const at = own.map((point) => point.getAttribute("x") + " " + point.getAttribute("y"));
      const layer = chart.querySelector(".picked");
      layer.setAttribute("class", "picked a" + trial.arm % 6);
      layer.replaceChildren();
      if (at.length > 1) layer.append(draw("path", { class: "way", d: "M" + at.join("L") }));
      own.forEach((point) => {
        const on = Number(point.dataset.spot) === spot;
        layer.append(draw("circle", { cx: point.getAttribute("x"), cy: point.getAttribute("y"), r: on ? 10.5 : 7.5, class: on ? "ring on" : "ring" }));
      });
    }
  };
  const narrow = () => window.matchMedia("(max-width: 860px)").matches;
  const show = (index, spot) => { panel.replaceChildren(tell(trials[index], spot)); mark(trials[index], spot); };
  const lift = (index, spot) => {
    sheet.querySelector("div").replaceChildren(tell(trials[index], spot));
    sheet.setAttribute("aria-label", "Trial " + trials[index].key);
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
  };
  const open = (index, spot) => (narrow() ? lift : show)(index, spot);
  if (sheet) {
    sheet.querySelector(".close").addEventListener("click", () => sheet.close());
    sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open]");
    if (!button) return;
    const trial = trials[Number(button.dataset.open)];
    lift(Number(button.dataset.open), trial.spots.length ? trial.spots[trial.best] : undefined);
  });

  // What the pointer is at, told beside it.
  const tips = new Map();
  const hint = (box, words, x, y) => {
    if (!tips.has(box)) { tips.set(box, make("div", undefined, "tip")); box.append(tips.get(box)); }
    const tip = tips.get(box);
    tip.hidden = !words;
    if (!words) return;
    tip.replaceChildren(...words.map((line, index) => make(index ? "span" : "b", line)));
    const wide = box.clientWidth;
    tip.style.left = Math.max(0, Math.min(x + 14, wide - tip.offsetWidth - 4)) + "px";
    tip.style.top = (y > tip.offsetHeight + 20 ? y - tip.offsetHeight - 12 : y + 16) + "px";
  };

  // The front: the nearest net is told, a click opens its trial, arrow keys walk by size.
  for (const chart of charts) {
    const box = chart.parentElement;
    const points = [...chart.querySelectorAll(".p")].map((element) => ({
      element, spot: Number(element.dataset.spot), x: Number(element.getAttribute("x")), y: Number(element.getAttribute("y")),
    }));
    const order = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
    const visible = () => order.filter((point) => !point.element.classList.contains("off"));
    const stop = (point) => points.forEach((other) => other.element.setAttribute("tabindex", other === point ? "0" : "-1"));
    for (const { element, spot } of points) {
      element.setAttribute("role", "button");
      element.setAttribute("aria-label", spots[spot].say);
    }
    stop(points.find((point) => point.spot === facts.best) || points[0]);
    const near = (event) => {
      const area = chart.getBoundingClientRect(), scale = area.width / chart.viewBox.baseVal.width;
      const x = (event.clientX - area.left) / scale, y = (event.clientY - area.top) / scale;
      let found, least = 20 / scale;
      for (const point of points) {
        if (point.element.classList.contains("off")) continue;
        const away = Math.hypot(point.x - x, point.y - y) - (point.element.classList.contains("onfront") ? 2 : 0);
        if (away < least) { found = point; least = away; }
      }
      return found;
    };
    const tip = (point) => {
      for (const other of points) other.element.classList.toggle("near", other === point);
      const outer = box.getBoundingClientRect(), area = chart.getBoundingClientRect(), scale = area.width / chart.viewBox.baseVal.width;
      if (!point) { hint(box); return; }
      const { t, d, p, a, z } = spots[point.spot], trial = trials[t];
      const size = facts.held ? `${facts.held} ${z}` : `${p} parameters`;
      hint(box, [`Trial ${trial.key}, ${arms[trial.arm]}`, `${size}, ${a}`, d === "–" ? "" : d + (d === "1" ? " dendrite" : " dendrites")].filter(Boolean),
        area.left - outer.left + point.x * scale, area.top - outer.top + point.y * scale);
    };
    chart.addEventListener("pointermove", (event) => { const point = near(event); tip(point); chart.classList.toggle("aimed", Boolean(point)); });
    chart.addEventListener("pointerleave", () => tip());
    chart.addEventListener("click", (event) => {
      const point = near(event);
      if (!point) return;
      stop(point);
      open(spots[point.spot].t, point.spot);
    });
    for (const point of points) {
      point.element.addEventListener("focus", () => { tip(point); if (!narrow()) show(spots[point.spot].t, point.spot); });
      point.element.addEventListener("blur", () => tip());
    }
    chart.addEventListener("keydown", (event) => {
      const shown = visible(), at = shown.findIndex((point) => point.element === document.activeElement);
      if (at < 0) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        lift(spots[shown[at].spot].t, shown[at].spot);
        return;
      }
      const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, PageUp: at + 10, PageDown: at - 10, Home: 0, End: shown.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = shown[Math.max(0, Math.min(shown.length - 1, steps[event.key]))];
      stop(next);
      next.element.focus();
    });
    chart.addEventListener("arms", () => {
      const shown = visible();
      if (shown.length && !shown.some((point) => point.element.getAttribute("tabindex") === "0")) stop(shown[0]);
    });
  }
  if (panel && facts.best !== null) show(spots[facts.best].t, facts.best);

  // Parallel coordinates, drawn here: which axes there are is the reader's choice.
  const parallel = document.getElementById("parallel");
  const hidden = new Set();
  let redraw = () => {};
  if (parallel && facts.lines) {
    const { axes, lines } = facts.lines, status = document.getElementById("passing"), choice = document.getElementById("axes");
    const shown = new Set(axes.map((axis, index) => index).filter((index) => axes[index].shown)), limits = new Map();
    const H = 440, top = 58, foot = 384, rail = 412;
    let svg, hot, columns = [], focus = -1;
    const label = (name) => (name.includes(".") ? [name.slice(0, name.indexOf(".")), name.slice(name.indexOf(".") + 1)] : ["", name]);
    const Y = (value) => (value === null ? rail : foot - value * (foot - top));
    const passes = (row) => !hidden.has(lines[row].arm) && [...limits].every(([index, [low, high]]) => {
      const value = axes[index].v[row];
      return !shown.has(index) || (value !== null && value >= low && value <= high);
    });
    const way = (row) => "M" + columns.map(({ index, x }) => x + " " + round(Y(axes[index].v[row]))).join("L");
    const sift = () => {
      let count = 0;
      lines.forEach((line, row) => {
        const on = passes(row);
        count += on;
        line.path.classList.toggle("dim", !on);
        line.path.classList.toggle("off", hidden.has(line.arm));
      });
      status.textContent = limits.size ? `${count} of ${lines.length} trials pass.` : "";
      for (const column of columns) {
        const range = limits.get(column.index);
        column.brush.setAttribute("visibility", range ? "visible" : "hidden");
        if (range) { column.brush.setAttribute("y", Y(range[1])); column.brush.setAttribute("height", Math.max(2, Y(range[0]) - Y(range[1]))); }
      }
    };
    const limit = (index, range) => { if (range) limits.set(index, range); else limits.delete(index); sift(); };
    redraw = () => {
      const list = axes.map((axis, index) => index).filter((index) => shown.has(index));
      const width = Math.max(parallel.clientWidth, 104 * list.length), gap = (width - 120) / Math.max(1, list.length - 1);
      svg = draw("svg", { viewBox: `0 0 ${width} ${H}`, width, height: H, class: "chart lines" });
      columns = list.map((index, place) => ({ index, x: round(60 + place * gap) }));
      svg.append(draw("line", { x1: 30, x2: width - 30, y1: rail, y2: rail, class: "rail" }), draw("text", { x: 30, y: rail + 18 }, "not used in the trial"));
      const layer = draw("g", {});
      lines.forEach((line, row) => {
        line.path = draw("path", { class: `line a${line.arm % 6}${line.front ? " onfront" : ""}`, d: way(row), "data-row": row });
        (line.front ? layer.append(line.path) : layer.prepend(line.path));
      });
      hot = draw("path", { class: "line hot", d: "", visibility: "hidden" });
      svg.append(layer, hot);
      for (const column of columns) {
        const axis = axes[column.index], [group, name] = label(axis.name);
        const box = draw("g", { class: "dimension", tabindex: "0", role: "group", "aria-label": `${axis.name}. Up and Down choose a part of it, Escape takes all.` });
        box.append(draw("line", { x1: column.x, x2: column.x, y1: top, y2: foot, class: "axis" }));
        box.append(draw("text", { x: column.x, y: 18, "text-anchor": "middle", class: "tick" }, group), draw("text", { x: column.x, y: 36, "text-anchor": "middle", class: "label" }, name));
        for (const [value, words] of axis.ticks) {
          box.append(draw("line", { x1: column.x - 4, x2: column.x + 4, y1: round(Y(value)), y2: round(Y(value)), class: "axis" }));
          box.append(draw("text", { x: column.x + 8, y: round(Y(value)) + 4.5, class: "tick halo" }, words));
        }
        column.brush = draw("rect", { x: column.x - 10, width: 20, class: "brush", visibility: "hidden" });
        const hit = draw("rect", { x: column.x - 16, y: top - 8, width: 32, height: foot - top + 16, class: "hit" });
        box.append(column.brush, hit);
        const value = (event) => {
          const area = svg.getBoundingClientRect();
          return Math.max(0, Math.min(1, (foot - (event.clientY - area.top) / area.height * H) / (foot - top)));
        };
        let from = null;
        hit.addEventListener("pointerdown", (event) => { from = value(event); hit.setPointerCapture(event.pointerId); });
        hit.addEventListener("pointermove", (event) => {
          if (from === null || Math.abs(value(event) - from) < 0.015) return;
          limit(column.index, [Math.min(from, value(event)), Math.max(from, value(event))]);
        });
        hit.addEventListener("pointerup", (event) => { if (Math.abs(value(event) - from) < 0.015) limit(column.index); from = null; });
        hit.addEventListener("click", (event) => event.stopPropagation());
        box.addEventListener("keydown", (event) => {
          if (event.key === "Escape") { limit(column.index); return; }
          const step = { ArrowUp: 1 / 12, ArrowDown: -1 / 12 }[event.key];
          if (!step) return;
          event.preventDefault();
          const before = limits.get(column.index);
          const low = before ? Math.max(0, Math.min(2 / 3, before[0] + step)) : step > 0 ? 2 / 3 : 0;
          limit(column.index, [low - 0.001, low + 1 / 3 + 0.001]);
        });
        svg.append(box);
      }
      parallel.replaceChildren(svg);
      tips.delete(parallel.parentElement);
      for (const old of parallel.parentElement.querySelectorAll(".tip")) old.remove();
      const aim = (event) => {
        const area = svg.getBoundingClientRect(), x = (event.clientX - area.left) / area.width * width, y = (event.clientY - area.top) / area.height * H;
        const right = columns.findIndex((column) => column.x >= x);
        if (right <= 0) return -1;
        const a = columns[right - 1], b = columns[right], share = (x - a.x) / (b.x - a.x);
        let found = -1, least = 9;
        lines.forEach((line, row) => {
          if (line.path.classList.contains("dim") || line.path.classList.contains("off")) return;
          const from = Y(axes[a.index].v[row]), to = Y(axes[b.index].v[row]);
          const slope = (to - from) / (b.x - a.x), away = Math.abs(from + share * (to - from) - y) / Math.hypot(1, slope);
          if (away < least) { found = row; least = away; }
        });
        return found;
      };
      const point = (row, event) => {
        focus = row;
        hot.setAttribute("visibility", row < 0 ? "hidden" : "visible");
        const outer = parallel.parentElement.getBoundingClientRect();
        if (row < 0) { hint(parallel.parentElement); return; }
        hot.setAttribute("d", way(row));
        hot.setAttribute("class", `line hot a${lines[row].arm % 6}`);
        const words = columns.map(({ index }) => (axes[index].t[row] ? `${label(axes[index].name)[1]} ${axes[index].t[row]}` : "")).filter(Boolean);
        hint(parallel.parentElement, [`Trial ${trials[lines[row].trial].key}, ${arms[lines[row].arm]}`, ...words], event.clientX - outer.left, event.clientY - outer.top);
      };
      svg.addEventListener("pointermove", (event) => point(aim(event), event));
      svg.addEventListener("pointerleave", (event) => point(-1, event));
      svg.addEventListener("click", () => {
        if (focus < 0) return;
        const trial = trials[lines[focus].trial];
        lift(lines[focus].trial, trial.spots[trial.best]);
      });
      sift();
    };
    axes.forEach((axis, index) => {
      if (axis.fixed) return;
      const item = make("label"), box = make("input");
      box.type = "checkbox";
      box.checked = axis.shown;
      box.addEventListener("change", () => { if (box.checked) shown.add(index); else { shown.delete(index); limits.delete(index); } redraw(); });
      item.append(box, make("span", axis.name));
      choice.append(item);
    });
    document.getElementById("clear").addEventListener("click", () => { limits.clear(); sift(); });
    redraw();
    let before = parallel.clientWidth;
    new ResizeObserver(() => { if (parallel.clientWidth !== before) { before = parallel.clientWidth; redraw(); } }).observe(parallel);
  }

  for (const key of document.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const arm = Number(key.dataset.arm), on = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(on));
      if (on) hidden.delete(arm); else hidden.add(arm);
      for (const part of document.querySelectorAll(`.chart [data-arm="${arm}"]`)) part.classList.toggle("off", !on);
      for (const chart of charts) chart.dispatchEvent(new Event("arms"));
      redraw();
    });
  }

  // Every trial: heads sort, the state sifts.
  const all = document.getElementById("all");
  if (all) {
    const body = all.tBodies[0], heads = [...all.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => { const cell = row.cells[column]; return cell.dataset.v === undefined ? null : Number(cell.dataset.v); };
      const words = (row) => row.cells[column].textContent;
      const numeric = [...body.rows].some((row) => value(row) !== null);
      const missing = (row) => (numeric ? value(row) === null : words(row) === "–");
      const rows = [...body.rows].sort((a, b) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const way = numeric ? value(a) - value(b) : words(a).localeCompare(words(b), "en", { numeric: true });
        return down ? -way : way;
      });
      body.append(...rows);
    }));
    document.getElementById("state").addEventListener("change", (event) => {
      for (const row of body.rows) row.hidden = Boolean(event.target.value) && row.dataset.state !== event.target.value;
    });
  }
})();
