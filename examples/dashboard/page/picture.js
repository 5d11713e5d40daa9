const $ = id => document.getElementById(id);
const color = generation => `var(--g${generation % 6})`;
const number = value => value.toLocaleString("en");
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const make = (parent, name, properties = {}) => parent.appendChild(Object.assign(document.createElement(name), properties));

// A process by its name: `3` is generation 3, and `1.3` that of worker 1.
const placeOf = (worker, generation) => worker === null ? `${generation}` : `${worker}.${generation}`;

// The picture: boxes from the oldest to the newest, a row for each worker where there are several, dots that fly to their
// box. All of it is laid out for the width that there is, in real pixels, so that text keeps its size. Whatever moves, moves by the same share of its way in each
// frame: what does not overlap before and after does not overlap in between.
const picture = (() => {
  const HEAD = 88, FOOT = 34, GAP = 14, PAD = 16, HIGH = 290, ROW = 196;
  // So wide at least is a box, and that of a worker, which has a longer name.
  const NARROWEST = 205, NARROWEST_OF_WORKERS = 285;
  // As the server's status names them, for who looks.
  const PHASES = { serving: "Serving", probation: "On probation", released: "Stands by", draining: "Drains",
    "starting-successor": "Serving, starts the next", copying: "Serving, copies its state",
    "catching-up": "Serving, copies changes", "handing-over": "Hands over", "handed-over": "Hands over",
    starting: "Gets ready", silent: "Says nothing", waiting: "Gets ready", "taking-back": "Takes back", "handing-back": "Hands back", "handed-back": "Was rolled back",
    stopping: "Stops", ended: "Has ended" };
  const ACCEPT = ["serving", "probation", "starting-successor", "copying", "catching-up"];
  const place = $("picture"), canvas = place.firstElementChild, brush = canvas.getContext("2d");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const boxes = new Map(), dots = new Map();
  let line = [], workers = 1, width = 0, height = 0, clients = {}, writer = null, ring = null, running = false, before = 0, inks = [];

  const mix = () => {
    const style = getComputedStyle(document.documentElement);
    inks = [0, 1, 2, 3, 4, 5].map(at => style.getPropertyValue(`--g${at}`).trim());
  };
  mix();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { mix(); wake(); });

  const makeBox = generation => {
    const element = make(place, "div", { className: "box" }), own = placeOf(generation.worker, generation.number);
    element.dataset.generation = own;
    element.style.setProperty("--own", color(generation.number));
    const text = make(element, "div");
    const name = make(text, "p", { className: "name" });
    const title = document.createTextNode("");
    name.append(title);
    const phase = make(name, "span");
    return { element, title, phase, lines: [make(text, "p"), make(text, "p")], generation, own, row: generation.worker ?? 0 };
  };

  // What a box says. Its clients are those that are drawn in it.
  const describe = it => {
    const { title, phase, lines, generation, element, own } = it;
    const { number: which, worker, pid, engine, age, memory, connections } = generation;
    const count = (clients[own] || []).length;
    title.data = worker === null ? `Generation ${which}` : `Worker ${worker}, generation ${which}`;
    phase.textContent = PHASES[generation.phase] || generation.phase;
    lines[0].textContent = [`pid ${pid}`, engine !== "none" ? `by ${engine}` : worker === null ? "started by hand" : "by the supervisor",
      age === null ? "" : `${age.toFixed(age < 100 ? 1 : 0)} s old`].filter(Boolean).join(" · ");
    const others = connections === null ? null : connections - count;
    lines[1].textContent = [plural(count, "client"),
      others > 0 ? `${plural(connections, "connection")}` : "",
      memory === null ? "" : `${(memory / 1024).toFixed(1)} MiB`].filter(Boolean).join(" · ");
    element.dataset.phase = generation.phase;
    element.className = `box${ACCEPT.includes(generation.phase) ? " serves" : ""}${generation.phase === "probation" ? " proving" : ""}`;
  };

  // Boxes beside each other, or below each other, from a point on. One that leaves ends as a line between its neighbours,
  // one that comes begins as one.
  const align = (row, shape, [from, size], at) => {
    for (const it of row) {
      it.to = { ...shape, [from]: it.leaving ? Math.max(0, at - GAP / 2) : at };
      if (it.leaving) it.to[size] = 0;
      if (!it.now) it.now = row.length === 1 ? { ...it.to } : { ...it.to, [size]: 0 };
      if (!it.leaving) at += it.to[size] + GAP;
    }
    // A new box must not begin in the middle of one that has not made room for it yet.
    let edge = -Infinity;
    for (const it of row) {
      if (it.now[from] < edge && it.now[size] < 1) it.now[from] = edge;
      edge = Math.max(edge, it.now[from] + it.now[size]);
    }
  };

  // Where each box is to be.
  const arrange = () => {
    const rows = Array.from({ length: workers }, (_, row) => line.filter(it => it.row === row));
    const counts = rows.map(row => row.filter(it => !it.leaving).length), most = Math.max(1, ...counts);
    const room = (width + GAP) / most - GAP, stacked = width < 560 || room < narrowest();
    const down = stacked ? Math.max(1, counts.reduce((sum, count) => sum + count)) : workers;
    const total = workers === 1 && !stacked ? HIGH : Math.max(HIGH, down * (ROW + GAP) - GAP);
    const high = Math.min(HIGH, (total + GAP) / down - GAP);
    const lines = stacked ? [line] : rows, wide = stacked ? width : Math.min(560, room);
    lines.forEach((row, at) => {
      const shape = { x: 0, y: at * (high + GAP), w: wide, h: high };
      // One line alone is in the middle.
      const spare = stacked || workers > 1 ? 0 : width - counts[at] * (wide + GAP) + GAP;
      align(row, shape, stacked ? ["y", "h"] : ["x", "w"], spare / 2);
    });
    if (height !== total) {
      height = total;
      place.style.height = `${height}px`;
      fit();
    }
  };

  const fit = () => {
    const scale = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    brush.setTransform(scale, 0, 0, scale, 0, 0);
  };

  const narrowest = () => workers > 1 ? NARROWEST_OF_WORKERS : NARROWEST;
  // Of one line. Workers keep their rows, so of those no more than fit.
  const shown = () => workers > 1 ? Math.max(2, Math.floor((width + GAP) / (narrowest() + GAP))) : 5;

  const boxOf = own => line.findLast(it => !it.leaving && it.own === own);

  // A dot keeps its place while it stays, so that those that leave leave holes.
  const settle = () => {
    const here = new Set();
    for (const [own, numbers] of Object.entries(clients)) {
      const box = boxOf(own), ink = box?.generation.number % 6;
      if (!box) continue;
      const staying = numbers.map(client => dots.get(client)).filter(dot => dot?.home === own);
      const taken = new Set(staying.map(dot => dot.place));
      let free = 0;
      for (const client of numbers) {
        here.add(client);
        if (!dots.has(client)) dots.set(client, { size: 0, mixed: 0 });
        const dot = dots.get(client);
        dot.gone = false;
        if (dot.home === own) continue;
        while (taken.has(free)) free++;
        taken.add(free);
        [dot.from, dot.ink, dot.home, dot.place, dot.mixed] = [dot.ink ?? ink, ink, own, free, 0];
      }
    }
    for (const [client, dot] of dots) dot.gone = !here.has(client);
  };

  // How far dots are apart: as much as lets the fullest box have all of its own.
  const spacing = () => {
    let step = 21;
    for (const { to, own, leaving } of line) {
      if (leaving) continue;
      let most = 0;
      for (const dot of dots.values()) if (dot.home === own && !dot.gone) most = Math.max(most, dot.place + 1);
      const w = to.w - 2 * PAD, h = to.h - HEAD - FOOT;
      while (step > 4 && Math.floor(w / step) * Math.floor(h / step) < most) step -= .25;
    }
    return step;
  };

  const near = (it, key, goal, share) => {
    it[key] += (goal - it[key]) * share;
    if (Math.abs(goal - it[key]) < .25) it[key] = goal;
    return it[key] !== goal;
  };

  const moveBoxes = share => {
    let moves = false;
    for (const it of line) {
      for (const key of ["x", "y", "w", "h"]) moves = near(it.now, key, it.to[key], share) || moves;
      const { x, y, w, h } = it.now, style = it.element.style;
      style.transform = `translate(${x}px, ${y}px)`;
      [style.width, style.height] = [`${w}px`, `${h}px`];
      style.visibility = w < 8 || h < 8 ? "hidden" : "";
    }
    for (const it of line.filter(it => it.leaving && (it.now.w < 1 || it.now.h < 1))) it.element.remove();
    line = line.filter(it => it.element.isConnected);
    return moves;
  };

  const moveDots = share => {
    const step = spacing(), radius = Math.min(5.5, step * .34);
    let moves = false;
    brush.clearRect(0, 0, width, height);
    for (const [client, dot] of dots) {
      const box = boxOf(dot.home);
      if (box) {
        const columns = Math.max(1, Math.floor((box.to.w - 2 * PAD) / step));
        const spare = (box.to.w - 2 * PAD - columns * step) / 2;
        const x = box.now.x + PAD + spare + step * (dot.place % columns + .5);
        const y = box.now.y + HEAD + step * (Math.floor(dot.place / columns) + .5);
        if (dot.x === undefined) [dot.x, dot.y] = [x, y];
        moves = near(dot, "x", x, share) | near(dot, "y", y, share) | moves;
      }
      moves = near(dot, "mixed", 1, share) | moves;
      near(dot, "size", dot.gone || !box ? 0 : radius, share);
      moves ||= dot.size !== radius;
      if (dot.gone && dot.size < .3) dots.delete(client);
      if (dot.size <= 0) continue;
      brush.globalAlpha = 1;
      brush.fillStyle = inks[dot.from];
      brush.beginPath();
      brush.arc(dot.x, dot.y, dot.size, 0, 2 * Math.PI);
      brush.fill();
      brush.globalAlpha = dot.mixed;
      brush.fillStyle = inks[dot.ink];
      brush.fill();
    }
    return moves;
  };

  // This page's own stream, in the process that writes it.
  const moveRing = share => {
    const box = boxOf(writer);
    if (!box) return false;
    if (!ring) {
      ring = make(place, "p", { id: "ring" });
      make(ring, "i").setAttribute("aria-hidden", "true");
      ring.append("this page’s stream");
    }
    const x = box.now.x + PAD - 4, y = box.now.y + box.now.h - FOOT + 4;
    if (!ring.at) ring.at = { x, y };
    const moves = near(ring.at, "x", x, share) | near(ring.at, "y", y, share);
    ring.style.transform = `translate(${ring.at.x}px, ${ring.at.y}px)`;
    return moves;
  };

  // Whether there is more to come.
  const draw = share => Boolean(moveBoxes(share) | moveDots(share) | moveRing(share));
  const frame = time => {
    // A frame may have begun before it was asked for.
    const passed = Math.min(100, Math.max(0, time - before)), share = calm.matches ? 1 : 1 - Math.exp(-passed / 170);
    before = Math.max(before, time);
    running = draw(share);
    if (running) requestAnimationFrame(frame);
  };
  const wake = () => {
    if (running) return;
    running = true;
    before = performance.now();
    requestAnimationFrame(frame);
  };

  new ResizeObserver(([{ contentRect }]) => {
    if (width === contentRect.width) return;
    width = contentRect.width;
    arrange();
    fit();
    for (const dot of dots.values()) dot.x = undefined;
    draw(1); // a window that changes is no restart: nothing flies
  }).observe(place);

  return {
    show(generations, answered, who) {
      [clients, writer] = [answered, who];
      workers = Math.max(workers, ...generations.map(({ worker }) => worker === null ? 1 : worker + 1));
      const inOrder = [...generations].sort((a, b) => a.worker - b.worker || a.number - b.number);
      const alive = Array.from({ length: workers }, (_, row) => inOrder.filter(({ worker }) => (worker ?? 0) === row)
        .slice(-shown())).flat();
      for (const generation of alive) {
        if (!boxes.has(generation.pid)) {
          const it = makeBox(generation);
          boxes.set(generation.pid, it);
          const after = line.findLastIndex(({ row, generation: other }) => row < it.row || row === it.row && other.number <= generation.number);
          line.splice(after + 1, 0, it);
        }
        boxes.get(generation.pid).generation = generation;
        describe(boxes.get(generation.pid));
      }
      for (const [pid, it] of boxes) {
        if (alive.some(generation => generation.pid === pid)) continue;
        it.leaving = true;
        it.element.classList.add("leaving");
        delete it.element.dataset.generation;
        boxes.delete(pid);
      }
      arrange();
      settle();
      wake();
    },
    // Clients that are drawn with this generation.
    count: own => [...dots.values()].filter(dot => dot.home === `${own}` && !dot.gone).length,
    // Pairs of boxes, or parts of one and the outside, that are drawn over each other.
    overlaps: () => line.some((it, at) => line.slice(at + 1).some(({ now }) =>
      it.now.x + it.now.w > now.x + 1 && now.x + now.w > it.now.x + 1
      && it.now.y + it.now.h > now.y + 1 && now.y + now.h > it.now.y + 1)),
    // Dots outside of their box, once all have come to rest.
    strays: () => running ? null : [...dots.values()].filter(({ home, x, y, size }) => {
      const { now } = boxOf(home);
      return x - size < now.x || x + size > now.x + now.w || y - size < now.y + HEAD - 1 || y + size > now.y + now.h - FOOT + 1;
    }).length,
  };
})();
