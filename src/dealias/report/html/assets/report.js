// SPDX-License-Identifier: Apache-2.0
// What the page does beyond showing: theme, sorting, hiding lines, the slider, copying. Without it everything is still readable.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Theme: that of the system until the button chooses the other one, which is then remembered where the browser allows it.
  const KEY = "dealias-report-theme";
  const button = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* private windows forget */ } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const label = () => {
    button.setAttribute("aria-pressed", String(theme() === "dark"));
    button.textContent = theme() === "dark" ? "Light theme" : "Dark theme";
  };
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    store(root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();

  // Sorting: the first click puts the best on top, the next turns the order round; what has no value stays at the end.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const sort = (table, header) => {
    const headers = [...header.parentElement.cells];
    const column = headers.indexOf(header);
    const first = header.dataset.sort === "down" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = header.getAttribute("aria-sort") === first ? other : first;
    headers.forEach((each) => each.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: valueOf(row, column) }));
    rows.sort((a, b) => {
      if (typeof a.value === "string") return sign * a.value.localeCompare(b.value, "en", { numeric: true });
      if (isNaN(a.value) || isNaN(b.value)) return isNaN(a.value) - isNaN(b.value);
      return sign * (a.value - b.value);
    });
    table.tBodies[0].append(...rows.map(({ row }) => row));
  };
  for (const table of all("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      const click = document.createElement("button");
      click.type = "button";
      click.append(...header.childNodes);
      click.addEventListener("click", () => sort(table, header));
      header.append(click);
    }
  }

  // Lines: a chip hides its variant in all charts of the chapter, and brings it out while the pointer is on it.
  for (const chapter of all(".chapter")) {
    const chips = all(".chip[data-series]", chapter);
    const lines = (series) => all(`.line[data-series="${series}"]`, chapter);
    const show = (series, visible) => {
      chips.filter((chip) => chip.dataset.series === series)
        .forEach((chip) => chip.setAttribute("aria-pressed", String(visible)));
      lines(series).forEach((line) => line.toggleAttribute("hidden", !visible));
    };
    const isShown = (chip) => chip.getAttribute("aria-pressed") === "true";
    for (const chip of chips) {
      const { series } = chip.dataset;
      const emphasise = (on) => {
        chapter.classList.toggle("quiet", on && isShown(chip));
        lines(series).forEach((line) => line.classList.toggle("loud", on));
      };
      chip.addEventListener("click", () => show(series, !isShown(chip)));
      chip.addEventListener("pointerenter", (event) => emphasise(event.pointerType === "mouse"));
      chip.addEventListener("pointerleave", () => emphasise(false));
      chip.addEventListener("focus", () => emphasise(chip.matches(":focus-visible")));
      chip.addEventListener("blur", () => emphasise(false));
    }
    all("[data-all]", chapter).forEach((each) => each.addEventListener("click", () => {
      const visible = !chips.some(isShown);
      chips.forEach((chip) => show(chip.dataset.series, visible));
    }));
  }

  // Images: left and right and what is shown of them hold for all samples, the place of the divider for one.
  const classOf = (key) => (key === "image" ? "is-image" : key === "truth" ? "is-truth" : "is-answer");
  for (const gallery of all(".gallery")) {
    if (!gallery.querySelector(".sample")) continue;
    const [left, right] = ["left", "right"].map((side) => gallery.querySelector(`select[data-side="${side}"]`));
    const samples = all(".sample", gallery).map((sample) => ({
      stage: sample.querySelector(".stage"),
      slider: sample.querySelector(".stage input"),
      tiles: new Map(all(".tile", sample).map((tile) => [tile.dataset.key, tile])),
    }));
    const describe = ({ stage, slider, tiles }) => {
      stage.style.setProperty("--split", `${slider.value}%`);
      const names = [left, right].map((select) => tiles.get(select.value).dataset.name);
      slider.setAttribute("aria-valuetext", `${slider.value} % ${names[0]}, ${100 - slider.value} % ${names[1]}`);
    };
    const fill = (sample) => {
      for (const [key, tile] of sample.tiles) {
        tile.classList.toggle("is-left", key === left.value);
        tile.classList.toggle("is-right", key === right.value);
      }
      for (const select of [left, right]) {
        const tile = sample.tiles.get(select.value);
        const pane = sample.stage.querySelector(`.pane[data-side="${select.dataset.side}"]`);
        pane.classList.remove("is-image", "is-truth", "is-answer");
        pane.classList.add(classOf(select.value));
        pane.replaceChildren(...all("img", tile).map((image) => Object.assign(image.cloneNode(), { alt: "" })));
        pane.setAttribute("aria-label", `${select.dataset.side}: ${tile.dataset.name}`);
        sample.stage.querySelector(`.badge.${select.dataset.side}`).textContent = tile.dataset.name;
      }
      describe(sample);
    };
    const update = () => samples.forEach(fill);
    const choose = (key) => { right.value = key; update(); };
    for (const sample of samples) {
      const base = sample.tiles.get("image")?.querySelector("img"); // label files come without
      sample.stage.style.setProperty("--ratio", sample.stage.dataset.width / sample.stage.dataset.height);
      for (const [key, tile] of sample.tiles) {
        tile.classList.add(classOf(key));
        const layers = tile.querySelector(".layers");
        if (base && key !== "image") layers.prepend(Object.assign(base.cloneNode(), { alt: "" }));
        layers.addEventListener("click", () => choose(key));
      }
      sample.slider.addEventListener("input", () => describe(sample));
    }
    for (const select of [left, right]) select.addEventListener("change", update);
    gallery.querySelector(".swap").addEventListener("click", () => {
      [left.value, right.value] = [right.value, left.value];
      update();
    });
    for (const mode of all(".modes input", gallery)) {
      mode.addEventListener("change", () => { gallery.dataset.mode = mode.value; });
      if (mode.checked) gallery.dataset.mode = mode.value;
    }
    update();
  }

  // Scores by image: one variant at a time.
  for (const chooser of all(".choose-table")) {
    chooser.addEventListener("change", () => {
      for (const table of all(".choice", chooser.closest(".gallery"))) table.classList.toggle("chosen", table.id === chooser.value);
    });
  }

  // Copying: where the browser does not allow it, the text is selected, ready for the keyboard.
  for (const copy of all(".copy")) {
    const source = document.getElementById(copy.dataset.copies);
    const say = (text) => {
      copy.textContent = text;
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    };
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        say("Copied");
      } catch {
        getSelection().selectAllChildren(source);
        say("Selected");
      }
    });
  }

  // Paper has no clicks: what is folded is opened for it.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
})();
