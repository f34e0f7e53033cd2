"use strict";
/* The table of all runs: only the rows in sight are in the page; filter and sort work on all of them. */
(() => {
  const holder = document.getElementById("runs-table");
  if (holder === null) return;
  const { columns, rows } = JSON.parse(document.getElementById("data-runs").textContent);
  const input = document.getElementById("runs-filter");
  const counter = document.getElementById("runs-count");
  const ROW = 31;
  const MARGIN = 12;
  const texts = rows.map((row) => row.map(shown));
  const haystacks = texts.map((row) => row.join("\u0000").toLowerCase());
  let order = rows.map((_, place) => place);
  let brushed = null;
  let sorting = { column: -1, down: false };

  function shown(value) {
    if (value === null || value === undefined) return "";
    if (typeof value !== "number") return value;
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  }

  /* --- filter: each word has to be found; NAME=VALUE and the like compare one column. */
  const COMPARISON = /^([^<>=!]+)(<=|>=|!=|=|<|>)(.*)$/;
  const COMPARE = {
    "=": (a, b) => a === b, "!=": (a, b) => a !== b, "<": (a, b) => a < b, ">": (a, b) => a > b,
    "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
  };

  function columnOf(name) {
    const low = columns.map((column) => column.toLowerCase());
    const fits = [(column) => column === name, (column) => column.split(/[./]/).pop() === name, (column) => column.startsWith(name),
      (column) => column.includes(name)];
    for (const fit of fits) {
      const place = low.findIndex(fit);
      if (place >= 0) return place;
    }
    return -1;
  }

  /* The name in a comparison that neither names a column nor stands in any row as it is. */
  function unknownIn(word) {
    const match = COMPARISON.exec(word);
    if (match === null || columnOf(match[1]) >= 0 || haystacks.some((row) => row.includes(word))) return "";
    return match[1];
  }

  function test(word) {
    const match = COMPARISON.exec(word);
    const column = match === null ? -1 : columnOf(match[1]);
    if (column < 0) return (place) => haystacks[place].includes(word);
    const [, , sign, wanted] = match;
    const number = Number(wanted);
    if (wanted !== "" && !Number.isNaN(number)) {
      return (place) => {
        const held = rows[place][column];
        return typeof held === "number" ? COMPARE[sign](held, number) : sign === "!=";
      };
    }
    return (place) => COMPARE[sign](texts[place][column].toLowerCase(), wanted);
  }

  /* Numbers stand before texts such as nan, and empty cells at the end, whichever way is sorted. */
  function kind(value) {
    if (typeof value === "number") return 0;
    return value === null || value === "" ? 2 : 1;
  }

  function compare(one, other) {
    const a = rows[one][sorting.column];
    const b = rows[other][sorting.column];
    if (kind(a) !== kind(b)) return kind(a) - kind(b);
    const difference = kind(a) === 0 ? a - b : a < b ? -1 : a > b ? 1 : 0;
    return (sorting.down ? -difference : difference) || one - other;
  }

  function counted(unknown) {
    const all = rows.length.toLocaleString("en");
    if (unknown.length > 0) return `no column ${unknown.join(", ")}`;
    if (order.length === rows.length) return `${all} run${rows.length === 1 ? "" : "s"}`;
    return `${order.length.toLocaleString("en")} of ${all} runs`;
  }

  function arrange() {
    const words = input.value.toLowerCase().split(/\s+/).filter((word) => word !== "" && word !== "and");
    const tests = words.map(test);
    order = [];
    for (let place = 0; place < rows.length; place += 1) {
      if ((brushed === null || brushed.has(rows[place][0])) && tests.every((passes) => passes(place))) order.push(place);
    }
    if (sorting.column >= 0) order.sort(compare);
    counter.value = counted(words.map(unknownIn).filter(Boolean));
    holder.scrollTop = 0;
    fill();
  }

  /* --- the rows in sight */
  const table = document.createElement("table");
  const body = document.createElement("tbody");

  function spacer(height) {
    const row = document.createElement("tr");
    row.className = "spacer";
    row.style.height = `${height}px`;
    return row;
  }

  function line(place) {
    const row = document.createElement("tr");
    texts[place].forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = column === 0 ? text.slice(0, 8) : text;
      cell.title = text;
      if (typeof rows[place][column] === "number") cell.className = "number";
    });
    return row;
  }

  function fill() {
    const first = Math.max(0, Math.floor(holder.scrollTop / ROW) - MARGIN);
    const last = Math.min(order.length, first + Math.ceil(holder.clientHeight / ROW) + 2 * MARGIN);
    body.replaceChildren(spacer(first * ROW), ...order.slice(first, last).map(line), spacer((order.length - last) * ROW));
  }

  function sortBy(column) {
    const again = sorting.column === column;
    sorting = { column, down: again ? !sorting.down : rows.some((row) => typeof row[column] === "number") };
    heads.forEach((head, place) => {
      head.parentElement.setAttribute("aria-sort", place !== column ? "none" : sorting.down ? "descending" : "ascending");
      head.textContent = columns[place] + (place !== column ? "" : sorting.down ? " ↓" : " ↑");
    });
    arrange();
  }

  function letters(column) {
    const longest = texts.reduce((most, row) => Math.max(most, row[column].length), 0);
    return Math.min(30, Math.max(column === 0 ? 8 : longest, columns[column].length + 2));
  }

  const widths = document.createElement("colgroup");
  const headRow = table.createTHead().insertRow();
  const heads = columns.map((name, column) => {
    const width = document.createElement("col");
    width.style.width = `${column === 0 ? 11 : letters(column) + 2.5}ch`;
    widths.append(width);
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    if (rows.some((row) => typeof row[column] === "number")) cell.className = "number";
    button.type = "button";
    button.textContent = name;
    button.title = `sort by ${name}`;
    button.addEventListener("click", () => sortBy(column));
    cell.append(button);
    headRow.append(cell);
    return button;
  });
  table.prepend(widths);
  table.append(body);
  holder.append(table);
  let waiting = false;
  holder.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; fill(); });
  });
  input.addEventListener("input", arrange);
  window.addEventListener("resize", fill);
  document.addEventListener("runs-brushed", (event) => { brushed = event.detail; arrange(); });
  fill();
})();
