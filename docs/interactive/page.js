/*
 * The page: what the reader can change is `state`; everything that is shown is drawn anew from it, once a frame.
 * The mathematics is in prox.js.
 */
"use strict";

(() => {
  const FEWEST = 2;
  const MOST = 8;
  const LARGEST = 1e6;
  /** Decades of the slider of gamma. */
  const DECADES = 3;
  const SWEEP_SECONDS = 8;

  const EXAMPLES = [
    ["A small counterexample", "x=26f,12b,13f&gamma=12&axis=0,30&plane=2,3"],
    ["A second one", "x=1.5b,1f,0.99b&gamma=1&axis=0,2&plane=2,3"],
    ["Two pixels", "x=1.4f,1b&gamma=0.8&axis=-1,2"],
    ["No foreground", "x=1.5b,1.2b,0.3b&gamma=0.9&axis=-1,2"],
    ["Hinge, a margin below 0", "x=1.6f,0.5b,0.6f,-0.5f&gamma=2.6&axis=-1,2&loss=hinge&plane=2,3"],
    ["Eight pixels", "x=2.7f,2.4b,2.2f,1.9b,1.6f,1.3b,0.9f,0.6b&gamma=3.5&axis=-1,3&plane=3,4"],
  ];

  const byId = (id) => document.getElementById(id);
  const round = (number, digits) => Number(number.toPrecision(digits));
  const clamp = (number, low, high) => Math.min(Math.max(number, low), high);
  const sign = (pixel) => (pixel.foreground ? "fg" : "bg");
  const kind = (pixel) => (pixel.foreground ? "foreground" : "background");
  const name = (i) => String(i + 1);

  /** A number for readers. */
  function show(number, digits = 6) {
    return Math.abs(number) < 1e-9 ? "0" : String(round(number, digits)).replace("-", "−");
  }

  /** The same where there is little room. */
  const brief = (number) => show(number, Math.abs(number) < 0.1 ? 2 : 4);

  /** "1", "1 and 2", "1, 2 and 3". */
  function list(pixels) {
    const names = pixels.map(name);
    return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  }

  /** 1, 2 or 5 times a power of ten, of which about so many fill the range. */
  function niceStep(range, parts) {
    const power = 10 ** Math.floor(Math.log10(range / parts));
    return power * [1, 2, 5, 10].find((factor) => factor * power * parts >= range * 0.999);
  }

  function ticks(low, high, parts) {
    const step = niceStep(high - low, parts);
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, k) => round((first + k) * step, 12));
  }

  /** The axis that holds `low`, `high` and all margins, with ends on ticks where it has to grow. */
  function axisAround(low, high, pixels) {
    const entries = pixels.map((pixel) => pixel.x);
    const step = niceStep(Math.max(high - low, Math.max(...entries) - Math.min(...entries)), 10);
    return {
      low: Math.min(low, Math.floor(Math.min(...entries) / step) * step),
      high: Math.max(high, Math.ceil(Math.max(...entries) / step) * step),
    };
  }

  function encode({ pixels, gamma, low, high, hinge, plane }) {
    const x = pixels.map((pixel) => `${pixel.x}${pixel.foreground ? "f" : "b"}`).join();
    return `x=${x}&gamma=${gamma}&axis=${low},${high}&loss=${hinge ? "hinge" : "f"}&plane=${plane.map(name)}`;
  }

  /** The state that a link describes, or null. */
  function decode(text) {
    const fields = new URLSearchParams(text);
    const entries = (fields.get("x") ?? "").split(",");
    const pixels = entries.map((entry) => ({ x: Number(entry.slice(0, -1)), foreground: entry.endsWith("f") }));
    const gamma = Number(fields.get("gamma"));
    const [low, high] = (fields.get("axis") ?? "0,1").split(",").map(Number);
    const [i, j] = (fields.get("plane") ?? "1,2").split(",").map((pixel) => Number(pixel) - 1);
    const right =
      entries.every((entry) => /^-?[\d.]+(e[+-]?\d+)?[fb]$/.test(entry)) &&
      pixels.length >= FEWEST && pixels.length <= MOST &&
      [gamma, low, high, ...pixels.map((pixel) => pixel.x)].every((entry) => Math.abs(entry) <= LARGEST) &&
      gamma > 0 && high - low > 1e-6 &&
      [i, j].every((pixel) => pixels[pixel] !== undefined) && i < j;
    if (!right) return null;
    const state = { pixels, gamma, ...axisAround(low, high, pixels), hinge: fields.get("loss") === "hinge" };
    return { ...state, plane: [i, j], gammaMax: Math.max(gamma, state.high - state.low) };
  }

  let state = decode(EXAMPLES[0][1]);
  /** The values from `low` to `high` that all charts show; they stand still while something is dragged. */
  let view = { low: 0, high: 1 };
  let dragging = false;
  let playing = null;
  let waiting = false;

  const problem = () => ({
    x: state.pixels.map((pixel) => pixel.x),
    foreground: state.pixels.map((pixel) => pixel.foreground),
    gamma: state.gamma,
    hinge: state.hinge,
  });

  function update() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      render();
    });
  }

  /** What one step of the sliders is worth, a power of ten. */
  const grain = () => 10 ** Math.floor(Math.log10((state.high - state.low) / 150));

  function setMargin(i, x) {
    const snapped = round(Math.round(x / grain()) * grain(), 12);
    state.pixels[i].x = clamp(snapped, state.low, state.high) + 0;
    update();
  }

  function setGamma(gamma) {
    state.gamma = round(clamp(gamma, state.gammaMax / 10 ** DECADES, state.gammaMax), 3);
    update();
  }

  function typeMargin(i, text) {
    const x = Number(text);
    if (text.trim() === "" || !(Math.abs(x) <= LARGEST)) return;
    state.pixels[i].x = x;
    Object.assign(state, axisAround(state.low, state.high, state.pixels));
    state.gammaMax = Math.max(state.gammaMax, state.high - state.low);
    update();
  }

  function typeGamma(text) {
    const gamma = Number(text);
    if (!(gamma > 0 && gamma <= LARGEST)) return;
    state.gamma = gamma;
    state.gammaMax = Math.max(state.high - state.low, gamma);
    update();
  }

  /** Let a handle be dragged; `move` takes where its centre should go, from the corner of `chart`. */
  function draggable(handle, chart, move) {
    let grip = null;
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      stop();
      handle.focus({ preventScroll: true });
      handle.setPointerCapture(event.pointerId);
      const box = handle.getBoundingClientRect();
      grip = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
      dragging = true;
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = chart.getBoundingClientRect();
      move(event.clientX - grip[0] - box.left, event.clientY - grip[1] - box.top);
    });
    handle.addEventListener("lostpointercapture", () => {
      dragging = false;
      update();
    });
  }

  /** Arrow keys: `move` takes steps to the right and up; page keys make ten. */
  function movable(handle, move) {
    const steps = {
      ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 10], PageDown: [0, -10],
    };
    handle.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      stop();
      move(...steps[event.key]);
    });
  }

  function addHandle(chart, label, look) {
    const handle = document.createElement("div");
    handle.className = `handle ${look}`;
    handle.textContent = label;
    chart.append(handle);
    return handle;
  }

  function makeSlider(handle, label) {
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", label);
  }

  function placeHandle(handle, x, y) {
    handle.style.left = `${x}px`;
    handle.style.top = `${y}px`;
  }

  function tell(handle, low, high, now, text) {
    handle.setAttribute("aria-valuemin", low);
    handle.setAttribute("aria-valuemax", high);
    handle.setAttribute("aria-valuenow", now);
    handle.setAttribute("aria-valuetext", text);
  }

  const line = (x1, y1, x2, y2, look) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="${look}"/>`;
  const text = (x, y, words, look, anchor = "start") =>
    `<text x="${x}" y="${y}" class="${look}" text-anchor="${anchor}" dominant-baseline="central">${words}</text>`;
  const circle = (x, y, r, look) => `<circle cx="${x}" cy="${y}" r="${r}" class="${look}"/>`;
  /** Foreground is round and background square, as their handles are. */
  const mark = (x, y, pixel, r = 4.5) =>
    pixel.foreground
      ? circle(x, y, r, "fg")
      : `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}" class="bg"/>`;

  /** The hinge bends at 0. */
  const gridLook = (tick) => (state.hinge && tick === 0 ? "axis" : "grid");

  /** A new empty picture that fills its chart, and the handles that it will need. */
  function drawing(chart) {
    chart.insertAdjacentHTML("beforeend", '<svg aria-hidden="true"></svg>');
    return chart.lastElementChild;
  }

  function draw(svg, width, height, content) {
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.innerHTML = content;
  }

  /** The nearest heights in the same order that are at least `gap` apart: pooling, where it is right. */
  function spread(wanted, gap) {
    const order = [...wanted.keys()].sort((i, j) => wanted[i] - wanted[j] || i - j);
    const pools = [];
    order.forEach((i, rank) => {
      let pool = { total: wanted[i] - rank * gap, pixels: [i] };
      const mean = ({ total, pixels }) => total / pixels.length;
      while (pools.length > 0 && mean(pools.at(-1)) > mean(pool)) {
        const before = pools.pop();
        pool = { total: before.total + pool.total, pixels: [...before.pixels, ...pool.pixels] };
      }
      pools.push(pool);
    });
    const placed = [];
    for (const { total, pixels } of pools) {
      for (const i of pixels) placed[i] = total / pixels.length + order.indexOf(i) * gap;
    }
    return placed;
  }

  /** Two number lines, x on the left and z on the right, with a handle for every x. */
  function numberLines(chart, focusable) {
    const svg = drawing(chart);
    const handles = [];
    const HEIGHT = 330;
    const [top, bottom] = [30, HEIGHT - 14];
    const columns = { fg: 80, bg: 58 };
    const left = 96;
    const height = (value) => bottom - ((value - view.low) / (view.high - view.low)) * (bottom - top);
    const valueAt = (y) => view.low + ((bottom - y) / (bottom - top)) * (view.high - view.low);

    function prepare() {
      for (const handle of handles.splice(0)) handle.remove();
      state.pixels.forEach((_, i) => {
        const handle = addHandle(chart, name(i), "");
        draggable(handle, chart, (_x, y) => setMargin(i, valueAt(y)));
        if (focusable) {
          makeSlider(handle, "");
          handle.setAttribute("aria-orientation", "vertical");
          movable(handle, (right, up) => setMargin(i, state.pixels[i].x + (right + up) * grain()));
        } else {
          handle.setAttribute("aria-hidden", "true");
        }
        handles.push(handle);
      });
    }

    function render({ x }, { z, pools }, below) {
      const width = chart.clientWidth;
      const right = width - 96;
      let content = ticks(view.low, view.high, 6)
        .map((tick) => line(left, height(tick), right, height(tick), gridLook(tick)))
        .join("");
      content += line(left, top, left, bottom, "axis") + line(right, top, right, bottom, "axis");
      content += text(left, 12, "x", "", "middle") + text(right, 12, "z", "", "middle");
      content += text((left + right) / 2, 12, `γ = ${show(state.gamma, 4)}`, "soft", "middle");
      const labels = spread(x.map(height), 14);
      const results = spread(z.map(height), 15);
      state.pixels.forEach((pixel, i) => {
        const [from, to] = [height(x[i]), height(z[i])];
        const column = columns[sign(pixel)];
        content += line(column, from, left, from, sign(pixel));
        content += line(left, from, right, to, `path ${sign(pixel)}`) + mark(right, to, pixel);
        content += text(44, labels[i], brief(x[i]), "", "end");
        content += line(right + 5, to, right + 17, results[i], "grid");
        content += text(right + 19, results[i], `${name(i)}: ${brief(z[i])}`, "");
        placeHandle(handles[i], column, from);
        handles[i].className = `handle ${sign(pixel)}`;
        if (focusable) {
          handles[i].setAttribute("aria-label", `Margin of pixel ${name(i)}, ${kind(pixel)}`);
          tell(handles[i], state.low, state.high, x[i], `x = ${x[i]}, moves to z = ${show(z[i])}`);
        }
      });
      for (const pool of pools.filter((pixels) => pixels.length > 1)) {
        const ends = pool.map((i) => results[i]);
        const [first, last] = [Math.min(...ends) - 6, Math.max(...ends) + 6];
        const beyond = right + 35 + 7 * brief(z[pool[0]]).length;
        content += `<path class="bracket" d="M${beyond} ${first}h5V${last}h-5"/>`;
      }
      for (const [i, j] of below) {
        const share = (x[i] - x[j]) / (x[i] - x[j] + z[j] - z[i]);
        const [across, down] = [left + share * (right - left), height(x[i] + share * (z[i] - x[i]))];
        content += circle(across, down, 7, "ring");
        if (below.length === 1) {
          content += text(clamp(across, left + 52, right - 52), down + 20, `${name(i)} falls below ${name(j)}`, "fallen", "middle");
        }
      }
      draw(svg, width, HEIGHT, content);
    }
    return { prepare, render };
  }

  /** The margins of both methods against gamma. */
  function pathChart(chart) {
    const svg = drawing(chart);
    const handle = addHandle(chart, "γ", "gamma");
    const HEIGHT = 360;
    const [left, top, bottom] = [40, 30, HEIGHT - 40];
    const across = () => chart.clientWidth - left - 26;
    const gammaAt = (x) => ((x - left) / across()) * state.gammaMax;
    makeSlider(handle, "Step gamma");
    draggable(handle, chart, (x) => setGamma(gammaAt(x)));
    movable(handle, (right, up) => setGamma(state.gamma + ((right + up) * state.gammaMax) / 300));
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      stop();
      setGamma(gammaAt(event.clientX - svg.getBoundingClientRect().left));
    });

    function render(exact, sweep) {
      const width = chart.clientWidth;
      const at = (gamma) => round(left + (gamma / state.gammaMax) * across(), 6);
      const height = (value) => round(bottom - ((value - view.low) / (view.high - view.low)) * (bottom - top), 6);
      const curve = (path, i, look) =>
        `<polyline class="path ${look}" points="${sweep.gammas.map((g, k) => `${at(g)},${height(path[k][i])}`).join(" ")}"/>`;
      let content = "";
      for (const tick of ticks(view.low, view.high, 6)) {
        content += line(left, height(tick), left + across(), height(tick), gridLook(tick));
        content += text(left - 6, height(tick), show(tick), "soft", "end");
      }
      for (const tick of ticks(0, state.gammaMax, 6)) {
        content += line(at(tick), bottom, at(tick), bottom + 4, "axis");
        content += text(at(tick), bottom + 14, show(tick), "soft", "middle");
      }
      content += line(left, bottom, left + across(), bottom, "axis");
      content += text(left + across() / 2, bottom + 31, "step γ", "soft", "middle");
      content += text(left - 6, 12, "z", "soft", "end");
      state.pixels.forEach((_, i) => (content += curve(sweep.inOrder, i, "in-order dashed")));
      state.pixels.forEach((pixel, i) => (content += curve(sweep.exact, i, sign(pixel))));
      for (const { gamma, z, fallen } of sweep.events) {
        for (const [i] of fallen) content += circle(at(gamma), height(z[i]), 7, "ring");
      }
      const ends = spread(sweep.exact.at(-1).map(height), 14);
      ends.forEach((y, i) => (content += text(left + across() + 8, y, name(i), "")));
      content += line(at(state.gamma), 22, at(state.gamma), bottom, "cursor");
      state.pixels.forEach((pixel, i) => (content += mark(at(state.gamma), height(exact.z[i]), pixel)));
      draw(svg, width, HEIGHT, content);
      placeHandle(handle, at(state.gamma), 12);
      tell(handle, 0, state.gammaMax, state.gamma, `gamma = ${show(state.gamma)}`);
    }
    return { render };
  }

  /** Red, green and blue of a colour of the style sheet. */
  function colour(property) {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
    return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  }

  /** The loss over the plane of two margins, the others fixed. */
  function lossMap(chart) {
    chart.insertAdjacentHTML("beforeend", '<canvas aria-hidden="true"></canvas>');
    const canvas = chart.lastElementChild;
    const svg = drawing(chart);
    const handle = addHandle(chart, "", "point");
    const [left, top] = [54, 8];
    let painted = "";
    const side = () => Math.min(chart.clientWidth - left - 10, 420);
    const valueAt = (offset) => view.low + (offset / side()) * (view.high - view.low);

    function move(x, y) {
      const [i, j] = state.plane;
      setMargin(i, valueAt(x - left));
      setMargin(j, valueAt(top + side() - y));
    }
    makeSlider(handle, "");
    handle.setAttribute("aria-roledescription", "slider in two directions");
    draggable(handle, chart, move);
    movable(handle, (right, up) => {
      const [i, j] = state.plane;
      if (right) setMargin(i, state.pixels[i].x + right * grain());
      if (up) setMargin(j, state.pixels[j].x + up * grain());
    });
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      stop();
      const box = svg.getBoundingClientRect();
      move(event.clientX - box.left, event.clientY - box.top);
    });

    /** Bands of equal loss with lines between; the greedy vector tells how far off the next line is. */
    function paint(now, [i, j], size, [least, most], step) {
      const here = lovasz.evaluator(now);
      const point = [...now.x];
      const unit = (view.high - view.low) / size;
      const [low, high, contour] = ["--low", "--high", "--contour"].map(colour);
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      const image = context.createImageData(size, size);
      for (let row = 0; row < size; row++) {
        point[j] = view.high - (row + 0.5) * unit;
        for (let column = 0; column < size; column++) {
          point[i] = view.low + (column + 0.5) * unit;
          const bands = here.at(point) / step;
          const slope = Math.hypot(here.greedy[i], here.greedy[j]);
          const pixelsOff = slope > 0 ? (Math.abs(bands - Math.round(bands)) * step) / (slope * unit) : 1;
          const ink = 0.7 * clamp(1 - pixelsOff, 0, 1);
          const share = clamp((Math.floor(bands) * step - least) / Math.max(most - least, step), 0, 1);
          const k = 4 * (row * size + column);
          for (let c = 0; c < 3; c++) {
            image.data[k + c] = (1 - ink) * (low[c] + share * (high[c] - low[c])) + ink * contour[c];
          }
          image.data[k + 3] = 255;
        }
      }
      context.putImageData(image, 0, 0);
    }

    function render(now, exact, inOrder) {
      const size = side();
      const [i, j] = state.plane;
      const across = (value) => left + ((value - view.low) / (view.high - view.low)) * size;
      const height = (value) => top + size - ((value - view.low) / (view.high - view.low)) * size;
      const place = (z) => [across(z[i]), height(z[j])];
      // f is non-decreasing, so its extremes lie at two corners.
      const [least, most] = [view.low, view.high].map((corner) =>
        lovasz.value(now, now.x.map((x, k) => (k === i || k === j ? corner : x))),
      );
      const step = niceStep(Math.max(most - least, 1e-9), 10);
      const fixed = now.x.map((x, k) => (k === i || k === j ? 0 : x));
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const needed = JSON.stringify([size, view, state.plane, fixed, now.foreground, now.hinge, dark]);
      if (needed !== painted) paint(now, state.plane, Math.round(size), [least, most], step);
      painted = needed;
      Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${size}px`, height: `${size}px` });

      let content = "";
      for (const tick of ticks(view.low, view.high, 5)) {
        content += line(across(tick), top + size, across(tick), top + size + 4, "axis");
        content += text(across(tick), top + size + 13, show(tick), "soft", "middle");
        content += line(left - 4, height(tick), left, height(tick), "axis");
        content += text(left - 7, height(tick), show(tick), "soft", "end");
      }
      const title = (k) => `margin of pixel ${name(k)} (${kind(state.pixels[k])})`;
      content += text(left + size / 2, top + size + 31, title(i), "soft", "middle");
      content += `<g transform="rotate(-90 10 ${top + size / 2})">${text(10, top + size / 2, title(j), "soft", "middle")}</g>`;
      content += `<svg x="${left}" y="${top}" width="${size}" height="${size}" viewBox="${left} ${top} ${size} ${size}">`;
      const w = lovasz.greedy(now, now.x);
      const [x, z, pooled] = [now.x, exact.z, inOrder.z].map(place);
      const tip = place(now.x.map((entry, k) => entry - now.gamma * w[k]));
      content += line(...x, ...pooled, "in-order dashed");
      const [px, py] = pooled;
      content += `<path class="in-order hollow" d="M${px - 6} ${py - 5}h12l-6 11z"/>`;
      content += line(...x, ...tip, "ink path");
      const angle = Math.atan2(tip[1] - x[1], tip[0] - x[0]);
      if (Math.hypot(tip[0] - x[0], tip[1] - x[1]) > 8) {
        const barb = (turn) => `${tip[0] - 10 * Math.cos(angle + turn)},${tip[1] - 10 * Math.sin(angle + turn)}`;
        content += `<polygon class="ink" points="${tip} ${barb(0.4)} ${barb(-0.4)}"/>`;
      }
      content += line(...x, ...z, "exact path");
      const spikes = Array.from({ length: 10 }, (_, k) => {
        const [r, turn] = [k % 2 ? 4 : 9, (k * Math.PI) / 5];
        return `${z[0] + r * Math.sin(turn)},${z[1] - r * Math.cos(turn)}`;
      });
      content += `<polygon class="exact star" points="${spikes.join(" ")}"/></svg>`;
      draw(svg, chart.clientWidth, top + size + 42, content);
      placeHandle(handle, ...x);
      handle.setAttribute("aria-label", `Margins of pixels ${list([i, j])}`);
      tell(handle, state.low, state.high, now.x[i], `pixel ${name(i)}: ${now.x[i]}, pixel ${name(j)}: ${now.x[j]}`);

      const slice =
        now.x.length > 2
          ? " The other margins stay at x. Of z and of the arrow only these two coordinates are shown, so z need not " +
            "lie where this slice would put it."
          : "";
      byId("map-says").textContent =
        `The loss is ${show(lovasz.value(now, now.x))} at x, and a line is drawn every ${show(step)}.${slice}`;
    }
    return { render };
  }

  /** Rows of the controls, one for each pixel. */
  const rows = (() => {
    const parent = byId("pixels");

    function prepare() {
      parent.innerHTML = state.pixels
        .map(
          (_, i) => `<div class="pixel"><b>${name(i)}</b><button type="button"></button>
            <input type="range" aria-label="Margin of pixel ${name(i)}, slider">
            <input type="number" step="any" aria-label="Margin of pixel ${name(i)}, as a number"></div>`,
        )
        .join("");
      [...parent.children].forEach((row, i) => {
        const [button, slider, number] = row.querySelectorAll("button, input");
        button.addEventListener("click", () => {
          state.pixels[i].foreground = !state.pixels[i].foreground;
          update();
        });
        slider.addEventListener("input", () => setMargin(i, Number(slider.value)));
        number.addEventListener("input", () => typeMargin(i, number.value));
      });
      byId("plane").innerHTML = state.pixels
        .flatMap((_, i) => state.pixels.slice(i + 1).map((_, k) => [i, i + k + 1]))
        .map((pair) => `<option value="${pair}">pixels ${list(pair)}</option>`)
        .join("");
    }

    function render() {
      [...parent.children].forEach((row, i) => {
        const pixel = state.pixels[i];
        const [button, slider, number] = row.querySelectorAll("button, input");
        button.textContent = kind(pixel);
        button.className = sign(pixel);
        button.setAttribute("aria-label", `Pixel ${name(i)} is ${kind(pixel)}: change its class`);
        Object.assign(slider, { min: state.low, max: state.high, step: grain() });
        slider.value = pixel.x;
        keep(number, pixel.x);
      });
      byId("add").disabled = state.pixels.length >= MOST;
      byId("remove").disabled = state.pixels.length <= FEWEST;
      byId("gamma-slider").value = 1000 * (1 + Math.log10(state.gamma / state.gammaMax) / DECADES);
      byId("gamma-slider").setAttribute("aria-valuetext", show(state.gamma));
      keep(byId("gamma"), state.gamma);
      byId("plane").value = String(state.plane);
      for (const choice of document.getElementsByName("function")) {
        choice.checked = (choice.value === "hinge") === state.hinge;
      }
      const shown = encode(state);
      [...byId("presets").children].forEach((button, k) =>
        button.setAttribute("aria-pressed", String(encode(decode(EXAMPLES[k][1])) === shown)),
      );
    }

    /** Show a number in a field, unless it is what the reader is typing there. */
    function keep(field, number) {
      if (Number(field.value) !== number || field.value === "") field.value = number;
    }
    return { prepare, render };
  })();

  function describe({ z, pools }, below, zeros) {
    const words = [
      ...pools.filter((pool) => pool.length > 1).map((pool) => {
        const pixels = [...pool].sort((i, j) => i - j);
        return `${list(pixels)} share a pool at ${show(z[pool[0]])}.`;
      }),
      ...below.map(([i, j]) => `Foreground ${name(i)} has fallen below background ${name(j)}.`),
      ...(zeros.length ? [`${list(zeros)} held at 0.`] : []),
    ];
    return words.length ? words.join(" ") : "Every pixel moves alone.";
  }

  function eventWords({ merged, split, fallen, zeros }) {
    return [
      ...split.map((pool) => `${list(pool)} part`),
      ...merged.map((pool) => `${list(pool)} pool`),
      ...fallen.map(([i, j]) => `${name(i)} falls below ${name(j)}`),
      ...zeros.map((i) => `${name(i)} reaches 0`),
    ];
  }

  const cells = (row) => `<tr><td>${row[0]}</td>${row.slice(1).map((cell) => `<td>${cell}</td>`).join("")}</tr>`;

  function renderNumbers(now, exact, inOrder) {
    const { x } = now;
    const w = lovasz.greedy(now, x);
    byId("by-pixel").tBodies[0].innerHTML = state.pixels
      .map((pixel, i) =>
        cells([`${name(i)} ${kind(pixel)}`, show(x[i]), show(w[i], 5), show(exact.z[i]), show(inOrder.z[i])]),
      )
      .join("");
    const answers = [exact.z, inOrder.z];
    const points = [x, ...answers];
    const optimal = lovasz.residual(now, exact.z);
    const excess = answers.map((z) => {
      const worst = lovasz.violation(now, lovasz.residual(now, z));
      return worst.excess < 1e-9 ? "0" : `${show(worst.excess, 4)}, A = {${worst.pixels.map(name).sort().join(", ")}}`;
    });
    byId("in-all").tBodies[0].innerHTML = [
      [now.hinge ? "hinge f∘max(·, 0)" : "loss f", ...points.map((z) => show(lovasz.value(now, z)))],
      ["objective", ...points.map((z) => show(lovasz.objective(now, z), 8))],
      ["above the least objective", ...points.map((z) => show(lovasz.gap(now, z, optimal)))],
      ["duality gap of the residual", "", ...answers.map((z) => show(lovasz.gap(now, z, lovasz.residual(now, z))))],
      ["largest violation w(A) − Δ(A)", "", ...excess],
    ]
      .map(cells)
      .join("");
  }

  const exactLines = numberLines(byId("exact"), true);
  const inOrderLines = numberLines(byId("in-order"), false);
  const paths = pathChart(byId("paths"));
  const map = lossMap(byId("map"));
  let written = "";
  let writer = 0;

  function render() {
    const now = problem();
    const exact = lovasz.prox(now);
    const inOrder = lovasz.proxInOrder(now);
    const sweep = lovasz.sweep(now, state.gammaMax);
    if (!dragging) {
      const least = Math.min(...[...sweep.exact, ...sweep.inOrder].flat());
      const step = niceStep(state.high - Math.min(least, state.low), 6);
      view = { low: Math.min(state.low, Math.floor(least / step + 1e-9) * step), high: state.high };
    }
    const below = lovasz.fallen(now, exact.z);
    const zeros = lovasz.atZero(now, exact.z);
    rows.render();
    exactLines.render(now, exact, below);
    inOrderLines.render(now, inOrder, []);
    paths.render(exact, sweep);
    map.render(now, exact, inOrder);
    renderNumbers(now, exact, inOrder);

    byId("exact-says").textContent = describe(exact, below, zeros);
    byId("in-order-says").textContent = describe(inOrder, [], lovasz.atZero(now, inOrder.z));
    const [best, other] = [exact.z, inOrder.z].map((z) => show(lovasz.objective(now, z), 8));
    const wasted = show(lovasz.gap(now, inOrder.z, lovasz.residual(now, exact.z)));
    byId("verdict").innerHTML =
      wasted === "0"
        ? `Here pooling in the order of x is exact: both reach the objective <b>${best}</b>.`
        : `Pooling in the order of x wastes <b>${wasted}</b>: its objective is <b>${other}</b>, the least is <b>${best}</b>.`;
    const happened = sweep.events.map((event) => [show(event.gamma, 4), eventWords(event).join(", ")]);
    byId("events").innerHTML = happened
      .filter(([, words]) => words)
      .map(([gamma, words]) => `<li><b>γ = ${gamma}</b>: ${words}</li>`)
      .join("");
    // Browsers refuse addresses that change with every frame.
    clearTimeout(writer);
    writer = setTimeout(() => {
      written = `#${encode(state)}`;
      history.replaceState(null, "", written);
    }, 250);
  }

  function load(next) {
    stop();
    state = next;
    prepare();
  }

  function prepare() {
    rows.prepare();
    exactLines.prepare();
    inOrderLines.prepare();
    update();
  }

  function play() {
    const start = performance.now();
    byId("play").textContent = "❚❚ Pause";
    byId("verdict").setAttribute("aria-live", "off");
    const frame = (time) => {
      const share = (time - start) / (1000 * SWEEP_SECONDS);
      setGamma(share * state.gammaMax);
      if (share < 1) playing = requestAnimationFrame(frame);
      else stop();
    };
    playing = requestAnimationFrame(frame);
  }

  function stop() {
    if (playing === null) return;
    cancelAnimationFrame(playing);
    playing = null;
    byId("play").textContent = "▶ Play";
    byId("verdict").removeAttribute("aria-live");
  }

  for (const [words, link] of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.addEventListener("click", () => load(decode(link)));
    byId("presets").append(button);
  }
  byId("add").addEventListener("click", () => {
    const last = state.pixels.at(-1);
    state.pixels.push({ x: round((state.low + state.high) / 2, 3), foreground: !last.foreground });
    prepare();
  });
  byId("remove").addEventListener("click", () => {
    state.pixels.pop();
    if (state.plane[1] >= state.pixels.length) state.plane = [0, 1];
    prepare();
  });
  byId("gamma-slider").addEventListener("input", (event) => {
    stop();
    setGamma(state.gammaMax * 10 ** (DECADES * (event.target.value / 1000 - 1)));
  });
  byId("gamma").addEventListener("input", (event) => {
    stop();
    typeGamma(event.target.value);
  });
  byId("play").addEventListener("click", () => (playing === null ? play() : stop()));
  byId("plane").addEventListener("change", (event) => {
    state.plane = event.target.value.split(",").map(Number);
    update();
  });
  for (const choice of document.getElementsByName("function")) {
    choice.addEventListener("change", () => {
      state.hinge = choice.value === "hinge";
      update();
    });
  }

  /** Follow the address: at the start, and when the reader changes it. */
  function follow() {
    if (location.hash === written && written) return;
    const next = location.hash.length > 1 ? decode(location.hash.slice(1)) : decode(EXAMPLES[0][1]);
    byId("notice").hidden = next !== null;
    load(next ?? decode(EXAMPLES[0][1]));
  }
  window.addEventListener("hashchange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  window.addEventListener("resize", update);
  follow();
})();
