"use strict";
/* Draws the Bokeh figures, and gives them the colours of the page: now, and whenever the reader turns dark mode on or off. */
(() => {
  const items = JSON.parse(document.getElementById("data-figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const INK = {
    Axis: { axis_label_text_color: "ink", major_label_text_color: "soft", axis_line_color: "rule", major_tick_line_color: "rule" },
    Grid: { grid_line_color: "rule" },
    Legend: { label_text_color: "ink", inactive_fill_color: "page" },
  };

  function kindOf(model) {
    return Object.keys(INK).find((kind) => model.type.endsWith(kind));
  }

  function paint() {
    const style = getComputedStyle(document.documentElement);
    for (const shown of Bokeh.documents) {
      for (const root of shown.roots()) {
        for (const model of root.references()) {
          const kind = kindOf(model);
          if (kind === undefined) continue;
          const wanted = Object.entries(INK[kind]).filter(([name]) => name !== "grid_line_color" || model.grid_line_color !== null);
          model.setv(Object.fromEntries(wanted.map(([name, ink]) => [name, style.getPropertyValue(`--${ink}`).trim()])));
        }
      }
    }
  }

  Bokeh.set_log_level("error");
  Promise.all(items.map((item) => Bokeh.embed.embed_item(item))).then(() => {
    paint();
    dark.addEventListener("change", paint);
    document.documentElement.dataset.figures = "drawn";
  });
})();
