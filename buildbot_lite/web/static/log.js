// A log: follows it while it grows, and marks the lines in the address.  The page is whole without it.
"use strict";
(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const MOST_ROWS = 5000;
  const PAUSE = 50; // milliseconds between two looks; the server waits longer
  const PAUSE_AFTER_FAILURE = 3000;

  // #L10 or #L10-L20
  const range = () => {
    const match = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    return match ? [Number(match[1]), Number(match[2] || match[1])] : null;
  };
  const mark = () => {
    const lines = range();
    if (!lines) return;
    const first = document.getElementById(`L${lines[0]}`);
    if (!first) {
      location.replace(`?line=${lines[0]}-${lines[1]}#L${lines[0]}-L${lines[1]}`);
      return;
    }
    for (const row of log.querySelectorAll(".row.marked")) row.classList.remove("marked");
    for (let line = lines[0]; line <= lines[1]; line++) {
      const row = document.getElementById(`L${line}`);
      if (!row) break;
      row.classList.add("marked");
    }
    first.scrollIntoView({block: "center"});
  };

  // A click on a number marks its line; with shift, all lines up to it.
  log.addEventListener("click", (event) => {
    const number = event.target.closest("a.n");
    const line = number ? Number(number.textContent) : 0;
    if (!line || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const marked = range();
    const from = event.shiftKey && marked ? Math.min(marked[0], line) : line;
    const to = event.shiftKey && marked ? Math.max(marked[1], line) : line;
    const hash = from === to ? `#L${from}` : `#L${from}-L${to}`;
    history.replaceState(null, "", `?line=${from}${from === to ? "" : `-${to}`}${hash}`);
    mark();
  });
  window.addEventListener("hashchange", mark);

  const atTail = () => window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 60;
  const toTail = () => window.scrollTo(0, document.documentElement.scrollHeight);

  const localTimes = (within) => {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      time.title = at.toLocaleString();
      time.textContent = at.toLocaleTimeString();
    }
  };

  const look = async (lines) => {
    const state = lines.dataset;
    const query = new URLSearchParams({after: state.next, length: state.length, remark: state.remark, layout: state.layout});
    const answer = await fetch(`${log.dataset.lines}?${query}`, {headers: {accept: "text/html"}});
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById("lines");
  };

  const append = (lines, more) => {
    const stays = atTail();
    // The last line was not complete: it comes again.
    const next = Number(lines.dataset.next);
    for (let row = lines.lastElementChild; row; ) {
      const before = row.previousElementSibling;
      if (row.dataset.at !== undefined && Number(row.dataset.at) < next) break;
      if (row.dataset.at !== undefined) row.remove();
      row = before;
    }
    for (const name of ["next", "length", "remark", "layout"]) lines.dataset[name] = more.dataset[name];
    localTimes(more);
    lines.append(...more.children);
    if (lines.childElementCount) for (const empty of log.querySelectorAll(".empty")) empty.remove();
    if (stays) {
      while (lines.childElementCount > MOST_ROWS) lines.firstElementChild.remove();
      toTail();
    }
  };

  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  const follow = async () => {
    for (;;) {
      try {
        const lines = document.getElementById("lines");
        const more = await look(lines);
        if ("moved" in more.dataset) { location.reload(); return; }
        append(lines, more);
        if ("ended" in more.dataset) {
          document.getElementById("follows")?.remove();
          return;
        }
        await pause(PAUSE);
      } catch {
        await pause(PAUSE_AFTER_FAILURE);
      }
    }
  };

  // Lines without numbers, because they were not counted yet.
  const number = async () => {
    const counting = document.getElementById("counting");
    if (!counting) return;
    await pause(PAUSE_AFTER_FAILURE);
    const answer = await fetch(location.pathname + location.search);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const lines = page.getElementById("lines");
    if (!answer.ok || !lines) return;
    const stays = atTail();
    localTimes(lines);
    document.getElementById("lines").replaceWith(document.adoptNode(lines));
    if (stays) toTail();
    if (page.getElementById("counting")) number().catch(() => {});
    else counting.remove();
  };

  if (range()) mark();
  else if (!location.search || location.hash === "#end") toTail();
  if ("follow" in log.dataset) follow();
  number().catch(() => {});
})();
