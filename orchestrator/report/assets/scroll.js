"use strict";
/* What scrolls sideways fades at the edge beyond which there is more. */
(() => {
  const SLACK = 8; /* So few pixels hide nothing. */
  for (const holder of document.querySelectorAll(".scroll, .rolling")) {
    const mark = () => {
      const rest = holder.scrollWidth - holder.clientWidth - holder.scrollLeft;
      holder.classList.toggle("more-before", holder.scrollLeft > SLACK);
      holder.classList.toggle("more-behind", rest > SLACK);
    };
    const observer = new ResizeObserver(mark);
    observer.observe(holder);
    for (const child of holder.children) observer.observe(child);
    holder.addEventListener("scroll", mark, { passive: true });
    mark();
  }
})();
