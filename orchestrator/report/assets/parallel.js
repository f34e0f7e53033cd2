"use strict";
/* Parallel coordinates on a canvas; what is chosen along the axes is told to the table. */
(() => {
  const canvas = document.getElementById("parallel-canvas");
  if (canvas === null) return;
  const { runs, axes, brightHigh } = JSON.parse(document.getElementById("data-parallel").textContent);
  const colours = JSON.parse(document.getElementById("data-scale").textContent).colours;
  const told = document.getElementById("parallel-chosen");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const LEAST = 96;
  const HEIGHT = 380;
  const TOP = 46;
  const BOTTOM = 16;
  const SIDE = 64;
  const scores = axes[axes.length - 1].places;
  const brushes = axes.map(() => null);
  let drag = null;

  const x = (axis) => SIDE + (axis * (canvas.clientWidth - 2 * SIDE - 30)) / Math.max(1, axes.length - 1);
  const y = (place) => TOP + (1 - place) * (HEIGHT - TOP - BOTTOM);
  const placeAt = (pixel) => Math.min(1, Math.max(0, 1 - (pixel - TOP) / (HEIGHT - TOP - BOTTOM)));
  const passes = (run) => brushes.every((brush, axis) => brush === null || (axes[axis].places[run] >= brush[0] && axes[axis].places[run] <= brush[1]));

  /* The ends of the scale vanish on one of the two pages: of its ten steps eight are used, the darkest never in the dark. */
  function colourAt(score) {
    const goodness = brightHigh ? score : 1 - score;
    const [first, last] = dark.matches ? [2, 9] : [0, 7];
    const share = dark.matches ? goodness : 1 - goodness;
    return colours[Math.round(first + share * (last - first))];
  }

  function lines(pen, chosen, strength) {
    pen.globalAlpha = strength;
    pen.lineWidth = chosen.length > 300 ? 1 : 1.8;
    for (const run of chosen) {
      pen.strokeStyle = colourAt(scores[run]);
      pen.beginPath();
      axes.forEach((axis, at) => pen[at === 0 ? "moveTo" : "lineTo"](x(at), y(axis.places[run])));
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  /* The last axis is the key of the colours as well. */
  function key(pen) {
    const left = x(axes.length - 1);
    for (let step = 0; step < 40; step += 1) {
      pen.fillStyle = colourAt(step / 39);
      pen.fillRect(left - 3, y((step + 1) / 40), 6, y(0) - y(1 / 40) + 1);
    }
  }

  function rulers(pen, ink, soft, page, accent) {
    pen.font = "12px system-ui, sans-serif";
    axes.forEach((axis, at) => {
      const left = x(at);
      pen.strokeStyle = soft;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(left, TOP);
      pen.lineTo(left, HEIGHT - BOTTOM);
      pen.stroke();
      pen.textAlign = "center";
      pen.fillStyle = ink;
      pen.fillText(fitting(pen, axis.name, 150), left, at % 2 === 0 || axes.length < 7 ? TOP - 16 : TOP - 31);
      pen.textAlign = "left";
      for (const [place, label] of axis.ticks) {
        const words = fitting(pen, label, 90);
        pen.lineWidth = 3;
        pen.strokeStyle = page;
        pen.strokeText(words, left + 6, y(place) + 4);
        pen.fillText(words, left + 6, y(place) + 4);
      }
      if (brushes[at] !== null) {
        pen.strokeStyle = accent;
        pen.lineWidth = 2;
        pen.strokeRect(left - 6, y(brushes[at][1]), 12, y(brushes[at][0]) - y(brushes[at][1]));
      }
    });
  }

  function fitting(pen, words, most) {
    let short = words;
    while (short.length > 3 && pen.measureText(short).width > most) short = short.slice(0, -2);
    return short === words ? words : `${short}…`;
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(`--${name}`).trim();
    const width = Math.max(canvas.parentElement.clientWidth, 2 * SIDE + LEAST * (axes.length - 1));
    const ratio = window.devicePixelRatio || 1;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${HEIGHT}px`;
    canvas.width = width * ratio;
    canvas.height = HEIGHT * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const every = runs.map((_, run) => run);
    const chosen = every.filter(passes);
    const narrowed = chosen.length < every.length;
    if (narrowed) lines(pen, every.filter((run) => !passes(run)), 0.05);
    lines(pen, chosen, Math.max(0.15, Math.min(0.85, 60 / Math.sqrt(1 + chosen.length) / 8)));
    key(pen);
    rulers(pen, ink("ink"), ink("soft"), ink("page"), ink("accent"));
    told.textContent = narrowed ? `${chosen.length.toLocaleString("en")} of ${runs.length.toLocaleString("en")} runs chosen` : "";
    return narrowed ? new Set(chosen.map((run) => runs[run])) : null;
  }

  function tell() {
    document.dispatchEvent(new CustomEvent("runs-brushed", { detail: draw() }));
  }

  canvas.addEventListener("pointerdown", (event) => {
    const near = axes.map((_, at) => Math.abs(event.offsetX - x(at)));
    const axis = near.indexOf(Math.min(...near));
    if (near[axis] > 30) return;
    drag = { axis, from: placeAt(event.offsetY) };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === null) return;
    const to = placeAt(event.offsetY);
    brushes[drag.axis] = [Math.min(drag.from, to), Math.max(drag.from, to)];
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag === null) return;
    if (Math.abs(placeAt(event.offsetY) - drag.from) < 0.01) brushes[drag.axis] = null;
    drag = null;
    tell();
  });
  canvas.addEventListener("pointercancel", () => {
    if (drag === null) return;
    drag = null;
    tell();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    brushes.fill(null);
    tell();
  });
  window.addEventListener("resize", draw);
  dark.addEventListener("change", draw);
  draw();
})();
