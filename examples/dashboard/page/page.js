// The stream: every event has a number, and whoever writes it goes on counting. A new connection begins anew, for another
// process may write it.
const seen = { opened: 0, last: null, gaps: 0, events: 0, writers: new Set(), heard: performance.now(), writer: null };
let stream, proving = false, busy = false, workers = 0;
const hear = (name, act) => stream.addEventListener(name, event => {
  const id = Number(event.lastEventId), data = JSON.parse(event.data);
  if (seen.last !== null && id !== seen.last + 1) seen.gaps++;
  [seen.last, seen.heard, seen.writer] = [id, performance.now(), data];
  seen.events++;
  seen.writers.add(data.pid);
  $("gaps").textContent = seen.gaps;
  $("holes").className = seen.gaps ? "bad" : "";
  act(data);
  showState();
});
const listen = () => {
  stream = new EventSource("/events");
  stream.onopen = () => { seen.opened++; seen.last = null; };
  hear("hello", () => {});
  hear("started", charts.mark);
  hear("failed", () => {});
  hear("leaving", () => {});
  hear("picture", showPicture);
};

// Whether anybody is there. Pictures come five times a second, also while a restart goes on.
const QUIET = 2000;
const clock = at => new Date(at).toLocaleTimeString("en-GB");
const showState = () => {
  const quiet = performance.now() - seen.heard, isQuiet = quiet > QUIET;
  const state = !isQuiet && seen.events ? "live" : !isQuiet ? "waiting" : stream.readyState === EventSource.OPEN ? "silent" : "gone";
  const words = { waiting: "Waiting for the server", silent: "The server is silent", gone: "The server is gone",
    live: workers ? `${workers} workers serve${proving ? ", one on probation" : ""}`
      : `Generation ${seen.writer?.generation} serves${proving ? ", on probation" : ""}` };
  document.body.dataset.state = state;
  const label = $("state").lastElementChild;
  if (label.textContent !== words[state]) label.textContent = words[state];
  const isLost = state === "silent" || state === "gone";
  if (isLost && $("gone").hidden) {
    const since = clock(Date.now() - quiet);
    $("gone").textContent = state === "gone"
      ? `The server is gone: nothing has answered since ${since}. This page goes on when it is back.`
      : `The server is silent: it is connected, and has said nothing since ${since}.`;
  }
  $("gone").hidden = !isLost;
  for (const button of document.querySelectorAll("[data-post]")) {
    const isOff = state !== "live" || (button.id === "back" ? !proving : busy && button.classList.contains("restart"));
    button.setAttribute("aria-disabled", isOff);
  }
};
setInterval(() => {
  // It gives up for good where somebody has answered with an error.
  if (stream.readyState === EventSource.CLOSED) listen();
  showState();
}, 250);

// The journal, which the observer keeps: also of what was before this page was opened.
const SIGNS = { started: "▶", stays: "✓", failed: "✕", back: "↩", ended: "■", clients: "●", plan: "!" };
const told = new Set();
const showJournal = journal => {
  for (const { number: own, at, kind, text } of journal) {
    const key = `${own}-${at}`;
    if (told.has(key)) continue;
    told.add(key);
    const item = document.createElement("li"), time = make(item, "time");
    item.className = kind;
    time.textContent = clock(at);
    const sign = make(item, "i", { textContent: SIGNS[kind] || "·" });
    sign.setAttribute("aria-hidden", "true");
    make(item, "span", { textContent: text });
    $("journal").prepend(item);
  }
  while ($("journal").children.length > 200) $("journal").lastElementChild.remove();
};
const note = text => showJournal([{ number: "here", at: Date.now(), kind: "failed", text }]);

const showRestart = restart => {
  $("none").textContent = busy ? "One is under way. What it has come to is known when the probation is over."
    : "There was none yet. The buttons above make one.";
  $("none").hidden = restart !== null;
  $("last").hidden = restart === null;
  if (!restart) return;
  const { generation, worker, engine, stays, took, still, moved, state } = restart;
  const ms = time => time < 1000 ? `${time < 10 ? time.toFixed(1) : Math.round(time)} ms` : `${(time / 1000).toFixed(2)} s`;
  const longest = Math.max(still ?? 0, moved ?? 0);
  $("still").textContent = longest ? ms(longest) : "–";
  $("last-who").textContent = `${generation}${worker === null ? "" : ` of worker ${worker}`}, by ${engine}: ${stays ? "stays" : "did not stay"}`;
  $("last-took").textContent = `${ms(took)}${stays ? ", probation included" : ""}`;
  $("last-still").textContent = [moved === null ? "" : `${ms(moved)} for connections that moved`,
    still === null ? "" : `${ms(still)} for those that stayed`].filter(Boolean).join(", ") || "none";
  $("last-state").textContent = state === null
    ? (engine === "fork" ? "nothing to copy: the memory is shared" : "not copied") : state;
};

const showPicture = ({ generation, worker, picture: it }) => {
  proving = it.generations.some(({ phase }) => phase === "probation");
  busy = it.generations.some(({ phase }) => !["serving", "draining", "stopping", "ended", "silent"].includes(phase));
  workers = new Set(it.generations.map(it => it.worker).filter(worker => worker !== null)).size;
  $("rows").hidden = !workers;
  $("doom").setAttribute("aria-pressed", it.doomed);
  $("answered").textContent = number(it.answered);
  $("failed").textContent = number(it.failed);
  $("failures").className = it.failed ? "bad" : "";
  $("stream").textContent = `${plural(seen.events, "event")}, ${plural(seen.writers.size, "process", "processes")}, `
    + plural(seen.opened, "connection");
  picture.show(it.generations, it.clients, placeOf(worker, generation));
  charts.collect(it.answers, it.at);
  showJournal(it.journal);
  showRestart(it.restart);
};

for (const button of document.querySelectorAll("[data-post]")) {
  button.onclick = async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    const how = button.classList.contains("restart") ? document.querySelector("[name=clients]:checked").value : "";
    const post = () => fetch(button.dataset.post + how, { method: "POST" }).catch(() => null);
    let reply = await post();
    if (reply?.status === 408) reply = await post(); // that process leaves, and has closed the connection
    if (!reply || !reply.ok) note(`“${button.firstElementChild.textContent}” had no answer.`);
  };
}

listen();
