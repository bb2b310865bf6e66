// Live pages: when the farm changes, the page is fetched again, and what differs is replaced.  Pages are whole without it.
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const LEAST_PAUSE = 1000; // milliseconds between two fetches

  const localTimes = (within) => {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const today = at.toDateString() === new Date().toDateString();
      time.title = at.toLocaleString();
      time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
    }
  };

  // The page as the server sent it, by element: only what the server changed is replaced.
  const sent = new Map();
  const remember = (page) => {
    for (const part of page.querySelectorAll("[data-live][id]")) sent.set(part.id, part.outerHTML);
  };

  const renew = async () => {
    const answer = await fetch(location.pathname + location.search, {headers: {accept: "text/html"}});
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of page.querySelectorAll("[data-live][id]")) {
      const here = document.getElementById(part.id);
      if (!here || sent.get(part.id) === part.outerHTML) continue;
      sent.set(part.id, part.outerHTML);
      const focused = here.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const part2 = document.adoptNode(part);
      here.replaceWith(part2);
      localTimes(part2);
      if (focused) for (const each of part2.querySelectorAll("a[href]")) if (each.getAttribute("href") === focused) { each.focus(); break; }
    }
    document.title = page.title;
  };

  let waiting = null;
  const changed = () => {
    if (waiting || document.hidden) return;
    waiting = setTimeout(() => { waiting = null; renew().catch(() => {}); }, LEAST_PAUSE);
  };

  remember(document);
  localTimes(document);
  if (document.querySelector("[data-live]")) {
    const {topic, news} = document.documentElement.dataset;
    const events = new EventSource(`${root}api/v1/events${topic ? `?topic=${encodeURIComponent(topic)}` : ""}`);
    if (news === "away") {
      // Of what happens, such a page shows only whether the master answers.
      let away = document.querySelector("#away .notice") ? undefined : null;
      events.addEventListener("live", (event) => {
        const since = JSON.parse(event.data).away_since;
        if (since !== away) { away = since; changed(); }
      });
    } else {
      // "open": what happened between the page and its stream.
      for (const kind of ["message", "feed", "live"]) events.addEventListener(kind, changed);
    }
    for (const kind of ["open", "resync"]) events.addEventListener(kind, changed);
    document.addEventListener("visibilitychange", changed);
    window.addEventListener("pagehide", () => events.close());
  }
})();
