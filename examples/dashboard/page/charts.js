// The charts: one minute, a slice per second of the observer's clock. The second that is running is not drawn: it would always be a dip.
const charts = (() => {
  const SPAN = 60, LEFT = 52, RIGHT = 6, TOP = 10, BOTTOM = 142, HEIGHT = 170;
  const SVG = "http://www.w3.org/2000/svg";
  let slices = [], marks = [], drawn = 0, first = null, time = 0;
  const node = (parent, name, attributes = {}, text) => {
    const it = document.createElementNS(SVG, name);
    for (const key in attributes) it.setAttribute(key, attributes[key]);
    if (text !== undefined) it.textContent = text;
    return parent.appendChild(it);
  };
  const duration = micros => micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toPrecision(2) / 1} ms`
    : `${(micros / 1e6).toPrecision(2) / 1} s`;

  // `draw` gets where a second begins, how wide it is, and what it has by generation.
  const chart = (id, rules, y, unit, draw, now) => {
    const place = $(id), width = place.clientWidth;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const step = (width - LEFT - RIGHT) / SPAN, x = second => width - RIGHT - (now - second) * step;
    for (const value of rules) {
      node(svg, "line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" });
      node(svg, "text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, unit(value));
    }
    for (const mark of marks)
      node(svg, "line", { x1: x(mark), x2: x(mark), y1: TOP, y2: BOTTOM, class: "mark" });
    node(svg, "text", { x: LEFT, y: HEIGHT - 8 }, "a minute ago");
    node(svg, "text", { x: width - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, "the last full second");
    for (const { second, by } of slices) if (second < now) draw(svg, x(second), step, by);
    place.replaceChildren(svg);
  };
  const legend = (id, extra) => {
    const list = $(id).nextElementSibling;
    const shown = new Set(slices.flatMap(({ by }) => [...by.keys()]));
    const entries = [...shown].sort((a, b) => a - b).slice(-6).map(it => [`Generation ${it}`, "sign", color(it)]);
    entries.push(...extra, ["a generation begins to serve", "sign begin"]);
    const text = JSON.stringify(entries);
    if (list.dataset.shown === text) return;
    list.dataset.shown = text;
    list.replaceChildren();
    for (const [words, sign, own] of entries) {
      const item = make(list, "li"), mark = make(item, "i", { className: sign });
      mark.setAttribute("aria-hidden", "true");
      if (own) mark.style.setProperty("--own", own);
      item.append(words);
    }
  };

  const drawRequests = now => {
    const full = slices.filter(({ second }) => second < now);
    const sums = full.map(({ by }) => [...by.values()].reduce((sum, { count }) => sum + count, 0));
    const most = Math.max(100, Math.ceil(Math.max(0, ...sums) / 100) * 100);
    const y = value => BOTTOM - value * (BOTTOM - TOP) / most;
    chart("requests", [0, most / 2, most], y, number, (svg, x, step, by) => {
      let below = 0;
      for (const [generation, { count }] of [...by].sort(([a], [b]) => a - b)) {
        const top = y(below + count);
        node(svg, "rect", { x: x + step * .12, y: top, width: step * .76, height: Math.max(0, y(below) - top - .5), rx: 1,
          fill: color(generation) });
        below += count;
      }
    }, now);
    legend("requests", []);
    const rate = sums.at(-1) ?? 0;
    $("requests").setAttribute("aria-label", `${plural(rate, "request")} in the last full second, `
      + `${number(Math.min(...sums, most))} to ${number(Math.max(0, ...sums))} in the last minute`);
    $("rate").textContent = number(rate);
  };
  const drawLatency = now => {
    const y = time => BOTTOM - Math.max(0, Math.min(5, Math.log10(Math.max(1, time)) - 1)) * (BOTTOM - TOP) / 5;
    chart("latency", [10, 100, 1000, 10000, 100000, 1000000], y, duration, (svg, x, step, by) => {
      for (const [generation, { median, longest }] of by) {
        node(svg, "line", { x1: x + step * .1, x2: x + step * .9, y1: y(longest), y2: y(longest), stroke: color(generation),
          "stroke-width": 2 });
        node(svg, "circle", { cx: x + step / 2, cy: y(median), r: Math.min(3, step * .4), fill: color(generation) });
      }
    }, now);
    legend("latency", [["median", "sign dot"], ["longest", "sign line"]]);
    const all = slices.filter(({ second }) => second < now).flatMap(({ by }) => [...by.values()]);
    const longest = Math.max(0, ...all.map(it => it.longest)), median = all.at(-1)?.median ?? 0;
    $("latency").setAttribute("aria-label", `Median ${duration(median)} in the last full second, longest ${duration(longest)} in the last minute`);
    $("longest").textContent = all.length ? duration(longest) : "–";
  };
  const draw = now => {
    drawRequests(now);
    drawLatency(now);
    drawn = now;
  };
  new ResizeObserver(() => drawn && draw(drawn)).observe($("requests"));

  return {
    mark: () => time && marks.push(time),
    collect(answers, at) {
      time = at / 1000;
      const second = Math.floor(time);
      first ??= second;
      if (second === first) return; // of which some is missing
      if (slices.at(-1)?.second !== second) slices.push({ second, by: new Map() });
      slices = slices.filter(it => it.second >= second - SPAN);
      marks = marks.filter(mark => mark > second - SPAN);
      for (const { generation, count, median, longest } of answers) {
        const by = slices.at(-1).by, so = by.get(generation) || { count: 0, median: 0, longest: 0 };
        by.set(generation, { count: so.count + count, median: Math.max(so.median, median),
          longest: Math.max(so.longest, longest) });
      }
      if (second !== drawn) draw(second);
    },
  };
})();
