// A log: marks the lines in the address, follows the log while it grows, and takes keys.  The page is whole without it.
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
    return match ? [Number(match[1]), Number(match[2] || match[1])].sort((one, other) => one - other) : null;
  };
  const rowsOf = (lines) => [...log.querySelectorAll(".row[id]")].filter((row) => {
    const number = Number(row.id.slice(1));
    return lines[0] <= number && number <= lines[1];
  });
  const show = (isNew) => {
    const lines = range();
    if (!lines) return;
    const rows = rowsOf(lines);
    if (rows.length) { mark(rows, lines); return; }
    // The server has shown the lines that the address names, or where they would be.
    const isPlaced = ["line", "before", "after"].some((name) => new URLSearchParams(location.search).has(name));
    if (!isNew && isPlaced) return;
    location.replace(`?line=${lines[0]}-${lines[1]}${location.hash}`);
  };
  const mark = (rows, lines) => {
    for (const row of log.querySelectorAll(".row.marked")) row.classList.remove("marked");
    for (const row of rows) row.classList.add("marked");
    // A range may go on on the pages before and after.
    for (const link of document.querySelectorAll(".pager a[rel]")) {
      const address = link.getAttribute("href").split("#")[0];
      link.setAttribute("href", lines[0] === lines[1] ? address : `${address}#L${lines[0]}-L${lines[1]}`);
    }
    const [first, last] = [rows[0].getBoundingClientRect(), rows.at(-1).getBoundingClientRect()];
    if (first.top < 0 || last.bottom > innerHeight) rows[0].scrollIntoView({block: "center"});
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
    dispatchEvent(new Event("hashchange"));
  });
  addEventListener("hashchange", () => show(true));

  // Of all numbers, Tab reaches one; the arrows go on from there.
  const reach = (number) => {
    for (const each of log.querySelectorAll('a.n[tabindex="0"]')) each.tabIndex = -1;
    number.tabIndex = 0;
  };
  const unreach = (within) => {
    for (const number of within.querySelectorAll("a.n")) number.tabIndex = -1;
  };
  const beside = (number, step) => {
    const numbers = [...log.querySelectorAll("a.n")];
    return numbers[numbers.indexOf(number) + step];
  };
  log.addEventListener("focusin", (event) => {
    if (event.target.matches("a.n")) reach(event.target);
  });

  const typed = (event) => {
    const step = {ArrowUp: -1, ArrowDown: 1}[event.key];
    const number = document.activeElement.closest("#log a.n");
    if (step && number) {
      const other = beside(number, step);
      if (other) other.focus();
      return true;
    }
    if (event.key === "G") { toTheTail(); return true; }
    return false;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (typed(event)) event.preventDefault();
  });

  // Following.

  const follows = document.getElementById("follows");
  let more = 0; // lines that came since the reader left the tail
  let isFull = false; // as many lines as the page may have
  const isLast = !document.getElementById("tail"); // the page has the end of the log
  const atTail = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 60;
  const toTail = () => scrollTo(0, document.documentElement.scrollHeight);
  const toTheTail = () => {
    if (location.search && !isLast) location.assign(`${location.pathname}#end`);
    else if (isFull) { history.scrollRestoration = "manual"; location.reload(); }
    else { toTail(); tell(); }
  };
  const button = document.createElement("button");
  button.textContent = "Follow at the tail";
  button.addEventListener("click", toTheTail);
  const tell = () => {
    if (!follows?.isConnected) return;
    if (atTail() && !isFull) more = 0;
    const isLive = atTail() && !isFull;
    const count = more ? `: ${isFull ? "more than " : ""}${more} new line${more > 1 ? "s" : ""} below` : "";
    const said = isLive ? "● Follows the log as it grows." : `The log grows${count}.`;
    if (follows.textContent !== said) follows.textContent = said;
    follows.classList.toggle("live", isLive);
    if (isLive) button.remove();
    else if (!button.isConnected) follows.after(button);
  };

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

  const append = (lines, news) => {
    const stays = atTail();
    const before = lines.childElementCount;
    // The last line was not complete: it comes again.
    const next = Number(lines.dataset.next);
    for (let row = lines.lastElementChild; row; ) {
      const above = row.previousElementSibling;
      if (row.dataset.at !== undefined && Number(row.dataset.at) < next) break;
      if (row.dataset.at !== undefined) row.remove();
      row = above;
    }
    for (const name of ["next", "length", "remark", "layout"]) lines.dataset[name] = news.dataset[name];
    document.getElementById("length").textContent = news.dataset.size;
    localTimes(news);
    unreach(news);
    lines.append(...news.children);
    if (lines.childElementCount) for (const empty of log.querySelectorAll(".empty")) empty.remove();
    if (stays) {
      while (lines.childElementCount > MOST_ROWS) lines.firstElementChild.remove();
      toTail();
    } else {
      more += Math.max(0, lines.childElementCount - before);
      isFull = lines.childElementCount > 2 * MOST_ROWS;
    }
    document.dispatchEvent(new Event("lines"));
    tell();
  };

  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

  const follow = async () => {
    while (!isFull) {
      try {
        const lines = document.getElementById("lines");
        const news = await look(lines);
        if ("moved" in news.dataset) { location.reload(); return; }
        append(lines, news);
        if ("ended" in news.dataset) {
          button.remove();
          if (follows) { follows.textContent = "This log has ended."; follows.classList.remove("live"); }
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
    unreach(lines);
    document.getElementById("lines").replaceWith(document.adoptNode(lines));
    if (stays) toTail();
    if (page.getElementById("counting")) { number().catch(() => {}); return; }
    counting.remove();
    show(false);
  };

  unreach(log);
  const first = log.querySelector("a.n");
  if (first) reach(first);
  if (range()) show(false);
  else if (log.querySelector("#marked")) log.querySelector("#marked").scrollIntoView({block: "center"});
  else if (!location.search || location.hash === "#end") toTail();
  if ("follow" in log.dataset) {
    tell();
    addEventListener("scroll", tell, {passive: true});
    follow();
  }
  number().catch(() => {});
})();
