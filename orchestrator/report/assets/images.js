"use strict";
/* Pictures of a few runs: one slider moves all of them to a step, or to their last picture before it. */
(() => {
  const holder = document.getElementById("images-panels");
  if (holder === null) return;
  const { steps, panels } = JSON.parse(document.getElementById("data-images").textContent);
  const slider = document.getElementById("images-step");
  const output = document.getElementById("images-shown");
  const shown = [];
  const notes = [];

  function element(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  for (const panel of panels) {
    const title = element("h3", `${panel.rank} `);
    const note = element("small", "");
    title.append(note);
    notes.push({ note, panel });
    const strip = element("div", "", "strip");
    for (const name of panel.names) {
      const figure = document.createElement("figure");
      const image = document.createElement("img");
      const caption = element("figcaption", "");
      figure.append(image, caption);
      strip.append(figure);
      shown.push({ image, caption, name, rank: panel.rank, pictures: panel.pictures[name] });
    }
    holder.append(title, strip);
  }

  function show() {
    const step = steps[Number(slider.value)];
    output.value = String(step);
    for (const { note, panel } of notes) note.textContent = [panel.among, panel.at[step], panel.told, panel.label].filter(Boolean).join(" · ");
    for (const { image, caption, name, rank, pictures } of shown) {
      const before = pictures.filter((picture) => picture[0] <= step);
      const [at, data, window] = before.length > 0 ? before[before.length - 1] : pictures[0];
      image.src = `data:image/webp;base64,${data}`;
      image.alt = `${name} of the ${rank} run at step ${at}`;
      caption.textContent = [at === step ? name : `${name} (step ${at})`, window].filter(Boolean).join(" ");
    }
  }

  slider.addEventListener("input", show);
  show();
})();
