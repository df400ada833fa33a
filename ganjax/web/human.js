// A person's test of a generator: real and generated images, one at a time.
//
// startHumanTest(root, data) shows it in the element `root`. Of `data`: `sprite`, the
// URL of an image with all tiles; `tile`, their [height, width]; `columns` of the
// sprite; `real`, 1 or 0 for each tile, in the order in which they are shown; `name` of
// the generator; `seed`. These two, and all other fields, are saved with the answers.
//
// There is no feedback before the end: it would train the reader during the test, and
// one answer would depend on those before it.
"use strict";

(() => {
  const GAP = 200; // ms without an image, in which a second click is no answer
  const ARROWS = { r: 1, arrowleft: 1, g: 0, arrowright: 0 };
  const STYLE = `
    .human { max-width: 34rem; }
    .human canvas { image-rendering: pixelated; }
    .human .stage { display: flex; justify-content: center; padding: 1rem;
      background: #000; border-radius: 8px; }
    .human .stage canvas { width: min(280px, 70vw); height: auto; }
    .human .stage canvas.hidden { visibility: hidden; }
    .human progress { width: 100%; margin: .75rem 0 .25rem; }
    .human .buttons { display: flex; gap: .75rem; margin: .75rem 0; }
    .human button { font: inherit; padding: .7rem 1.1rem; border-radius: 8px;
      border: 1px solid #1f5fa8; background: #1f5fa8; color: #fff; cursor: pointer; }
    .human .buttons button { flex: 1; }
    .human button:focus-visible { outline: 3px solid #e69f00; outline-offset: 2px; }
    .human kbd { display: block; font: inherit; font-size: .8rem; opacity: .85; }
    @media (hover: none) { .human kbd { display: none; } }
    .human .save { display: inline-block; padding: .5rem 1rem; border-radius: 8px;
      border: 1px solid #1f5fa8; color: #1f5fa8; text-decoration: none; }
    .human .scale { position: relative; height: 2.6rem; margin: 1rem 0; }
    .human .scale i { position: absolute; display: block; }
    .human .scale .axis { top: 10px; left: 0; right: 0; height: 2px; background: #bbb; }
    .human .scale .range { top: 7px; height: 8px; border-radius: 4px;
      background: #8fb8e6; }
    .human .scale .value { top: 3px; width: 4px; height: 16px; margin-left: -2px;
      background: #1f5fa8; }
    .human .scale .chance { top: 0; width: 1px; height: 22px; background: #000; }
    .human .scale span { position: absolute; top: 24px; font-size: .8rem;
      white-space: nowrap; transform: translateX(-50%); }
    .human .scale span:first-of-type { transform: none; }
    .human .scale span:last-of-type { transform: translateX(-100%); }
    .human .tiles { display: flex; flex-wrap: wrap; gap: 4px; }
    .human .tiles canvas { width: 42px; height: auto; }
    .human h4 { margin: 1rem 0 .35rem; font-size: 1rem; }`;

  let running = null; // the root of the test that the keys answer

  /** Wilson's 95% interval of k successes in n, as ganjax.metrics.intervals has it. */
  function wilson(k, n) {
    const z = 1.96, p = k / n, shrink = 1 + (z * z) / n;
    const center = (p + (z * z) / (2 * n)) / shrink;
    const half =
      (z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))) / shrink;
    return [Math.max(center - half, 0), Math.min(center + half, 1)];
  }

  /** The exact two-sided p-value of k successes in n against probability 1/2. */
  function chance(k, n) {
    let term = Math.pow(0.5, n), tail = 0; // P(X = i)
    for (let i = 0; i <= Math.min(k, n - k); i++) {
      tail += term;
      term *= (n - i) / (i + 1);
    }
    return Math.min(1, 2 * tail);
  }

  /** The score of trials {real, answer}, both 1 or 0. */
  function score(trials) {
    const count = (real, answer) =>
      trials.filter((t) => t.real === real && t.answer === answer).length;
    const total = trials.length;
    const correct = count(1, 1) + count(0, 0);
    const [low, high] = wilson(correct, total);
    return {
      total, correct, low, high,
      fraction: correct / total,
      p: chance(correct, total),
      generatedCalledReal: count(0, 1),
      realCalledGenerated: count(1, 0),
      generated: count(0, 0) + count(0, 1),
    };
  }

  function conclusion(result) {
    if (result.low > 0.5) return "The interval is above 0.5: you can tell them apart.";
    if (result.high < 0.5)
      return "The interval is below 0.5: you see a difference, but take the " +
        "generated images for the real ones.";
    return "The interval contains 0.5: these answers do not differ from guessing. " +
      "More of them may.";
  }

  function make(tag, parent, text = "", className = "") {
    const node = document.createElement(tag);
    node.textContent = text;
    node.className = className;
    parent.append(node);
    return node;
  }

  function startHumanTest(root, data) {
    const [height, width] = data.tile;
    const sprite = new Image();
    const trials = [];
    let shownAt = 0, accepting = false;

    function draw(canvas, index) {
      canvas.width = width;
      canvas.height = height;
      const left = (index % data.columns) * width;
      const top = Math.floor(index / data.columns) * height;
      const tile = [left, top, width, height];
      canvas.getContext("2d").drawImage(sprite, ...tile, 0, 0, width, height);
    }

    function intro() {
      const num = data.real.length;
      root.classList.add("human");
      root.replaceChildren();
      make("style", root, STYLE);
      make("p", root,
        `You will see ${num} images, one at a time, in random order. Some are real ` +
        "test images, the others are generated; none was selected. Say of each which " +
        "it is. You learn only at the end which answers were right.");
      const button = make("button", root, "Start the test");
      button.type = "button";
      button.addEventListener("click", async () => {
        sprite.src = data.sprite;
        await sprite.decode();
        run();
      });
    }

    function run() {
      running = root;
      root.replaceChildren();
      make("style", root, STYLE);
      const canvas = make("canvas", make("div", root, "", "stage"));
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "the image to judge");
      const progress = make("progress", root);
      progress.max = data.real.length;
      const count = make("div", root, "", "count");
      const buttons = make("div", root, "", "buttons");
      for (const [value, label, keys] of [[1, "Real", "R or ←"], [0, "Generated", "G or →"]]) {
        const button = make("button", buttons, `${label} `);
        make("kbd", button, keys);
        button.type = "button";
        button.addEventListener("click", () => answer(value));
      }
      document.addEventListener("keydown", onKey);

      function show() {
        accepting = false;
        progress.value = trials.length;
        count.textContent = `image ${trials.length + 1} of ${data.real.length}`;
        canvas.classList.add("hidden");
        setTimeout(() => {
          draw(canvas, trials.length);
          canvas.classList.remove("hidden");
          shownAt = performance.now();
          accepting = true;
        }, GAP);
      }

      function answer(value) {
        if (!accepting) return;
        const index = trials.length;
        const ms = Math.round(performance.now() - shownAt);
        trials.push({ index, real: data.real[index], answer: value, ms });
        if (trials.length < data.real.length) return show();
        document.removeEventListener("keydown", onKey);
        finish();
      }

      function onKey(event) {
        if (event.target.closest?.("input")) return; // a slider has the arrow keys
        const value = ARROWS[event.key.toLowerCase()];
        const modified = event.ctrlKey || event.metaKey || event.altKey;
        if (running !== root || value === undefined || modified || event.repeat) return;
        event.preventDefault();
        answer(value);
      }

      show();
    }

    function finish() {
      const result = score(trials);
      root.replaceChildren();
      make("style", root, STYLE);
      const { low, high, fraction, total } = result;
      const interval = `95% interval ${low.toFixed(2)} to ${high.toFixed(2)} (Wilson)`;
      make("p", root, "", "result").append(
        make("strong", root, `${result.correct} of ${total} answers were right: `),
        `${fraction.toFixed(2)}, ${interval}. `, conclusion(result));
      const scale = make("div", root, "", "scale");
      scale.setAttribute("aria-hidden", "true");
      for (const [name, left, right] of [["axis", 0, 1], ["range", low, high]]) {
        const bar = make("i", scale, "", name);
        bar.style.left = `${100 * left}%`;
        bar.style.right = `${100 * (1 - right)}%`;
      }
      make("i", scale, "", "chance").style.left = "50%";
      make("i", scale, "", "value").style.left = `${100 * fraction}%`;
      for (const [at, label] of [[0, "0"], [50, "0.5: guessing"], [100, "1: all right"]])
        make("span", scale, label).style.left = `${at}%`;
      make("p", root,
        `You called ${result.generatedCalledReal} of ${result.generated} generated ` +
        `images real, and ${result.realCalledGenerated} of ` +
        `${total - result.generated} real images generated. Guessing is at least as ` +
        `far from half with probability ${result.p.toPrecision(2)}.`);
      save();
      for (const [real, said, title] of [
        [0, 1, "Generated, and you said real"],
        [1, 0, "Real, and you said generated"],
        [0, 0, "Generated, and you said so"],
        [1, 1, "Real, and you said so"],
      ]) {
        const found = trials.filter((t) => t.real === real && t.answer === said);
        if (!found.length) continue;
        make("h4", root, `${title}: ${found.length}`);
        const tiles = make("div", root, "", "tiles");
        for (const trial of found) draw(make("canvas", tiles), trial.index);
      }
    }

    function save() {
      const { sprite: _sprite, tile: _tile, columns: _columns, real: _real, ...about } =
        data;
      const text = JSON.stringify({ ...about, trials }, null, 1);
      const link = make("a", make("p", root), "Save the answers as JSON", "save");
      link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      const name = String(data.name).replace(/[^\w-]+/g, "-");
      link.download = `human-${name}-${Date.now()}.json`;
    }

    intro();
  }

  globalThis.startHumanTest = startHumanTest;
  if (typeof module === "object") module.exports = { wilson, chance, score };
  if (typeof document === "object")
    for (const block of document.querySelectorAll("script[data-human-test]"))
      startHumanTest(block.parentElement, JSON.parse(block.textContent));
})();
