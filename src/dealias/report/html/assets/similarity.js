// SPDX-License-Identifier: Apache-2.0
// Features: mark a place, and see how much every other place resembles it. Without this their colours are still there.
(() => {
  "use strict";
  const all = (selector, within) => [...within.querySelectorAll(selector)];
  const clamp = (value) => Math.min(Math.max(value, 0), 1 - 1e-9);
  const STEP = 1 / 48; // of an image without features of its own

  // The colours of a cosine from 0 to 1, as a table of 256.
  const table = (stops) => {
    const rgb = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    return Array.from({ length: 256 }, (_, level) => {
      const place = (level / 255) * (rgb.length - 1);
      const at = Math.min(Math.floor(place), rgb.length - 2);
      return rgb[at].map((value, channel) => value + (place - at) * (rgb[at + 1][channel] - value));
    });
  };

  // Features of one map: decoded when they are first asked for.
  const mapOf = (spot) => {
    const [directions, height, width] = spot.dataset.shape.split(",").map(Number);
    let values = null;
    const decoded = () => {
      values ??= Int8Array.from(atob(spot.dataset.vectors), (letter) => (letter.charCodeAt(0) << 24) >> 24);
      return values;
    };
    const cosines = (u, v) => {
      const data = decoded();
      const cells = width * height;
      const marked = Math.floor(clamp(v) * height) * width + Math.floor(clamp(u) * width);
      const found = new Float32Array(cells);
      const lengths = new Float32Array(cells);
      for (let direction = 0; direction < directions; direction += 1) {
        const start = direction * cells;
        for (let cell = 0; cell < cells; cell += 1) {
          found[cell] += data[start + cell] * data[start + marked];
          lengths[cell] += data[start + cell] ** 2;
        }
      }
      return found.map((dot, cell) => dot / (Math.sqrt(lengths[cell] * lengths[marked]) || 1));
    };
    return { width, height, cosines };
  };

  const paint = (spot, map, colours, u, v) => {
    const canvas = spot.querySelector(".likeness");
    const cosines = map.cosines(u, v);
    const picture = new ImageData(map.width, map.height);
    cosines.forEach((cosine, cell) => {
      picture.data.set([...colours[Math.round(255 * Math.min(Math.max(cosine, 0), 1))], 255], 4 * cell);
    });
    [canvas.width, canvas.height] = [map.width, map.height];
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return cosines.reduce((sum, cosine) => sum + (cosine > 0.8), 0) / cosines.length;
  };

  for (const section of all(".features", document)) {
    const colours = table(section.dataset.colours.split(","));
    const samples = all(".sample", section).map((sample) => ({
      spots: all(".spot", sample).map((spot) => ({ spot, map: spot.dataset.shape ? mapOf(spot) : null })),
      readout: sample.querySelector(".readout"),
      place: null,
    }));
    const modes = all(".modes input", section);
    const show = (mode) => {
      section.dataset.shows = mode;
      modes.forEach((each) => { each.checked = each.value === mode; });
    };
    const isShown = (spot) => !spot.closest(".pair-view:not(.chosen)");

    const update = (sample) => {
      if (!sample.place) return;
      const [u, v] = sample.place;
      const parts = [];
      for (const { spot, map } of sample.spots) {
        const mark = spot.querySelector(".mark");
        mark.hidden = false;
        mark.style.left = `${100 * u}%`;
        mark.style.top = `${100 * v}%`;
        if (!map || !isShown(spot)) continue;
        const name = spot.parentElement.querySelector("figcaption").textContent;
        parts.push(`${name}: ${(100 * paint(spot, map, colours, u, v)).toFixed(0)} %`);
      }
      sample.readout.textContent = `Of the map resembles the marked place (cosine above 0.8): ${parts.join("; ")}.`;
    };
    const move = (sample, u, v) => {
      sample.place = [clamp(u), clamp(v)];
      show("likeness");
      update(sample);
    };

    for (const sample of samples) {
      for (const { spot, map } of sample.spots) {
        spot.addEventListener("click", (event) => {
          const box = spot.getBoundingClientRect();
          const byKeyboard = event.detail === 0;
          if (byKeyboard) move(sample, ...(sample.place ?? [0.5, 0.5]));
          else move(sample, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
        });
        spot.addEventListener("keydown", (event) => {
          const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
          if (!way) return;
          event.preventDefault();
          const [u, v] = sample.place ?? [0.5, 0.5];
          move(sample, u + way[0] * (map ? 1 / map.width : STEP), v + way[1] * (map ? 1 / map.height : STEP));
        });
      }
    }
    for (const mode of modes) {
      mode.addEventListener("change", () => {
        show(mode.value);
        if (mode.value !== "likeness") return;
        samples.forEach((sample) => { sample.place ??= [0.5, 0.5]; update(sample); });
      });
    }
    section.querySelector(".choose-map").addEventListener("change", (event) => {
      for (const pair of all(".pair-view", section)) pair.classList.toggle("chosen", pair.dataset.key === event.target.value);
      samples.forEach(update);
    });
    section.querySelector(".show-outlines").addEventListener("change", (event) => {
      section.classList.toggle("plain", !event.target.checked);
    });
  }
})();
