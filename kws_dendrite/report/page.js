
"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const make = (tag, words, name) => {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words; // never markup: settings may hold anything
    if (name) element.className = name;
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

  // The front: hover, tap or focus a point and the panel tells its trial.
  const panel = document.getElementById("trial");
  const points = [...document.querySelectorAll(".point")];
  const show = (number) => {
    const trial = facts.trials[number];
    if (!trial || !panel) return;
    for (const point of points) point.classList.toggle("on", point.dataset.trial === number);
    const parts = [make("h3", "Trial " + trial.number), make("p", trial.arm + " · " + trial.place, "place"), pairs(trial.rows)];
    if (trial.settings.length) parts.push(make("h4", "Settings"), pairs(trial.settings));
    panel.replaceChildren(...parts);
  };
  for (const chart of document.querySelectorAll(".front")) {
    // One stop for the Tab key; inside, the arrow keys walk from the smallest net to the largest.
    const size = (point) => Number(/\(([\d.]+)/.exec(point.getAttribute("transform"))[1]);
    const order = [...chart.querySelectorAll(".point")].sort((a, b) => size(a) - size(b));
    const visible = () => order.filter((point) => !point.classList.contains("off"));
    const stop = (point) => order.forEach((other) => other.setAttribute("tabindex", other === point ? "0" : "-1"));
    stop(order.find((point) => point.querySelector(".ring")) || order[0]);
    for (const point of order) {
      point.addEventListener("pointerenter", () => show(point.dataset.trial));
      point.addEventListener("click", () => { stop(point); show(point.dataset.trial); });
      point.addEventListener("focus", () => { stop(point); show(point.dataset.trial); });
    }
    chart.addEventListener("keydown", (event) => {
      const shown = visible();
      const at = shown.indexOf(document.activeElement);
      const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: shown.length - 1 };
      if (at < 0 || !(event.key in steps)) return;
      event.preventDefault();
      shown[Math.max(0, Math.min(shown.length - 1, steps[event.key]))].focus();
    });
    chart.addEventListener("arms", () => {
      const shown = visible();
      if (shown.length && !shown.some((point) => point.getAttribute("tabindex") === "0")) stop(shown[0]);
    });
  }
  for (const key of document.querySelectorAll(".key")) {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      for (const part of document.querySelectorAll('.front [data-arm="' + key.dataset.arm + '"]')) part.classList.toggle("off", !shown);
      for (const chart of document.querySelectorAll(".front")) chart.dispatchEvent(new Event("arms"));
    });
  }

  // The curves: a cursor over both panels, read out in words.
  const curves = facts.curves;
  const panels = [...document.querySelectorAll(".panel")];
  let place = -1;
  const read = (index) => {
    place = index;
    for (const figure of panels) {
      const chart = figure.querySelector("svg"), cursor = figure.querySelector(".cursor");
      const readout = figure.querySelector(".readout");
      if (index < 0) { cursor.setAttribute("visibility", "hidden"); readout.textContent = ""; continue; }
      const left = Number(chart.dataset.left), right = Number(chart.dataset.right);
      const x = left + (curves.epochs[index] - curves.first) / (curves.last - curves.first) * (right - left);
      cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.setAttribute("visibility", "visible");
      const [train, validation] = curves[figure.dataset.metric][index];
      const words = ["epoch " + curves.epochs[index]];
      if (curves.phases[index]) words.push(curves.phases[index]);
      if (train) words.push("train " + train);
      if (validation) words.push("validation " + validation);
      readout.textContent = words.join(", ");
    }
  };
  for (const figure of panels) {
    const chart = figure.querySelector("svg");
    const left = Number(chart.dataset.left), right = Number(chart.dataset.right);
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      const epoch = curves.first + (x - left) / (right - left) * (curves.last - curves.first);
      let nearest = 0;
      curves.epochs.forEach((value, index) => {
        if (Math.abs(value - epoch) < Math.abs(curves.epochs[nearest] - epoch)) nearest = index;
      });
      read(nearest);
    });
    chart.addEventListener("pointerleave", () => read(-1));
    chart.addEventListener("blur", () => read(-1));
    chart.addEventListener("keydown", (event) => {
      const last = curves.epochs.length - 1;
      const steps = { ArrowRight: place + 1, ArrowLeft: place < 0 ? last : place - 1, Home: 0, End: last };
      if (!(event.key in steps)) return;
      event.preventDefault();
      read(Math.max(0, Math.min(last, steps[event.key])));
    });
  }
})();
