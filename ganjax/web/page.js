// Runs generator.onnx in the browser; page.json describes it.
"use strict";

const COLUMNS = 7; // of the map
const ROWS = 5;
const STEP = 1; // distance of neighbors on the map; the prior's deviation is 1
const WALK_SECONDS = 2; // from one random point to the next
const GRID_BUDGET = 20; // milliseconds: grids that take longer are drawn less often

const element = (id) => document.getElementById(id);
const show = (message) => (element("status").textContent = message);
const nextFrame = () => new Promise(requestAnimationFrame);

if (location.protocol === "file:") {
  show(
    "A browser does not run a generator from a file. Start “python -m http.server” " +
      "in this folder and open http://localhost:8000.",
  );
} else {
  start().catch((error) => {
    show(`The generator can't be run in this browser: ${error.message}`);
    throw error;
  });
}

async function start() {
  const settings = await (await fetch("page.json")).json();
  const generate = await loadGenerator(settings);
  const view = buildPage(settings);
  const point = new Point(settings);
  const redraw = makeRedraw(settings, point, view, generate);
  connect(settings, point, view, redraw);
  await redraw();
  element("generator").hidden = false;
  show("");
  await describe(settings, point, generate);
  if (settings.human) {
    await import("./human.js"); // defines startHumanTest
    element("human").hidden = false;
    startHumanTest(element("human-test"), await (await fetch("human.json")).json());
  }
}

// A function from z, arrays of z_dim numbers, and as many labels to pixels.
async function loadGenerator(settings) {
  const ort = await import("./ort.js");
  // More threads need shared memory, and thereby headers that static servers don't send.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", document.baseURI).href };
  const session = await ort.InferenceSession.create("generator.onnx");
  const [output] = session.outputNames;
  return async (points, labels) => {
    const z = Float32Array.from(points.flat());
    const feeds = { z: new ort.Tensor("float32", z, [points.length, settings.z_dim]) };
    if (settings.num_classes) {
      feeds.labels = new ort.Tensor("int32", Int32Array.from(labels), [labels.length]);
    }
    return (await session.run(feeds))[output].data;
  };
}

// The parts of the page that depend on the generator.
function buildPage(settings) {
  const { num_classes, directions, z_dim } = settings;
  const sliders = directions.map((_, k) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: -3, max: 3, step: "any" });
    label.append(`Direction ${k + 1}`, input);
    element("directions").append(label);
    return input;
  });
  const tiles = (id, names) => {
    const box = document.querySelector(`#${id} .tiles`);
    return names.map(([text, description]) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      button.type = "button";
      button.setAttribute("aria-label", description);
      button.append(canvas, text);
      box.append(button);
      return { button, canvas };
    });
  };
  const numbers = [...Array(num_classes).keys()];
  const classes = tiles("classes", numbers.map((n) => [`${n}`, `Class ${n}`]));
  element("classes").hidden = !num_classes;
  const map = tiles(
    "map",
    offsets().map(([x, y]) => ["", `Neighbor at ${x.toFixed(1)}, ${y.toFixed(1)}`]),
  );
  map[(COLUMNS * ROWS - 1) / 2].button.disabled = true; // the image itself
  const view = { image: { canvas: element("image") }, sliders, classes, map };
  const [height, width] = settings.image_shape;
  for (const { canvas } of [view.image, ...classes, ...map]) {
    Object.assign(canvas, { height, width });
  }
  const input = num_classes ? `${z_dim} random numbers and a class` : `${z_dim} random numbers`;
  element("about").textContent =
    `A neural network makes every image on this page while you watch, from ${input}. ` +
    "It runs in your browser and sends nothing anywhere.";
  return view;
}

// Offsets on the map, row by row.
function offsets() {
  const line = (num) => Array.from({ length: num }, (_, i) => STEP * (i - (num - 1) / 2));
  return line(ROWS).flatMap((y) => line(COLUMNS).map((x) => [x, y]));
}

// A function that shows the present point, once per frame however often it is called.
function makeRedraw(settings, point, view, generate) {
  const [height, width, channels] = settings.image_shape;
  const size = height * width * channels;

  async function paint(places, points, labels) {
    const pixels = await generate(points, labels);
    places.forEach(({ canvas }, n) => {
      const image = new ImageData(width, height);
      for (let i = 0; i < height * width; i++) {
        for (let c = 0; c < 3; c++) {
          image.data[4 * i + c] = pixels[n * size + i * channels + (channels === 3 ? c : 0)];
        }
        image.data[4 * i + 3] = 255;
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
    });
  }

  const paintImage = () => paint([view.image], [point.z()], [point.label]);
  function paintGrids() {
    const points = [...view.classes.map(() => point.z()), ...offsets().map((x) => point.z(x))];
    const labels = [...view.classes.keys(), ...view.map.map(() => point.label)];
    return paint([...view.classes, ...view.map], points, labels);
  }

  let wanted = false;
  let running = null;
  let grids = { time: 0, end: 0, timer: 0 }; // of the last time they were drawn
  async function run() {
    while (wanted) {
      wanted = false;
      point.coordinates.forEach((x, k) => (view.sliders[k].value = x));
      view.classes.forEach(({ button }, n) =>
        button.setAttribute("aria-pressed", n === point.label),
      );
      await paintImage();
      const begin = performance.now();
      clearTimeout(grids.timer);
      if (grids.time < GRID_BUDGET || begin - grids.end > 4 * grids.time) {
        await paintGrids();
        grids = { time: performance.now() - begin, end: performance.now(), timer: 0 };
      } else {
        grids.timer = setTimeout(redraw, 5 * grids.time);
      }
      await nextFrame();
    }
    running = null;
  }
  function redraw() {
    wanted = true;
    return (running ??= run());
  }
  return redraw;
}

// What the controls do.
function connect(settings, point, view, redraw) {
  let walking = 0; // number of the walk in progress; 0: none
  let walks = 0;
  const stop = () => {
    walking = 0;
    element("walk").textContent = "Animate";
  };
  async function walk() {
    const mine = (walking = ++walks);
    element("walk").textContent = "Pause";
    while (walking === mine) {
      const [from, to, begin] = [point.z(), randomZ(settings), performance.now()];
      for (let fraction = 0; fraction < 1 && walking === mine; ) {
        fraction = Math.min(1, (performance.now() - begin) / 1000 / WALK_SECONDS);
        point.move(slerp(from, to, fraction));
        await redraw();
      }
    }
  }
  view.sliders.forEach((slider, k) => {
    slider.addEventListener("input", () => {
      stop();
      point.coordinates[k] = Number(slider.value);
      redraw();
    });
  });
  view.classes.forEach(({ button }, n) => {
    button.addEventListener("click", () => {
      point.label = n;
      redraw();
    });
  });
  offsets().forEach((offset, n) => {
    view.map[n].button.addEventListener("click", () => {
      stop();
      point.move(point.z(offset));
      redraw();
    });
  });
  element("new").addEventListener("click", () => {
    stop();
    point.move(randomZ(settings));
    redraw();
  });
  element("walk").addEventListener("click", () => (walking ? stop() : walk()));
}

// The last line of the page, with the measured time of one image.
async function describe(settings, point, generate) {
  const times = [];
  for (let i = 0; i < 20; i++) {
    const before = performance.now();
    await generate([point.z()], [point.label]);
    times.push(performance.now() - before);
  }
  const median = times.sort((a, b) => a - b)[10];
  const [height, width] = settings.image_shape;
  element("facts").textContent =
    `Generator “${settings.name}”: ${settings.parameters.toLocaleString("en")} parameters, ` +
    `${height} × ${width} pixels. One image takes ${median.toFixed(1)} ms in this browser. ` +
    "Trained and exported with ganjax.";
}
