// Live pages: when the farm changes, the page is fetched again, and what differs is replaced.  Pages are whole without it.
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const LEAST_PAUSE = 1000; // milliseconds between two fetches
  const RETRY = [5000, 10000, 20000, 60000]; // milliseconds before each new attempt, the last for all further ones

  const localTimes = (within) => {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const today = at.toDateString() === new Date().toDateString();
      time.title = at.toLocaleString([], {dateStyle: "full", timeStyle: "long"});
      // One time of each page names the zone of all.
      const zone = time.closest("#as-of") ? {timeZoneName: "short"} : {};
      time.textContent = today ? at.toLocaleTimeString([], zone) : at.toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
    }
  };

  // The times at the left of the waterfall.
  const localClocks = (within) => {
    const today = new Date().toDateString();
    for (const clock of within.querySelectorAll("[data-clock]")) {
      const at = new Date(Number(clock.dataset.clock) * 1000);
      const day = at.toDateString() === today ? {} : {weekday: "short"};
      const second = at.getSeconds() ? {second: "2-digit"} : {};
      clock.textContent = at.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...second, ...day});
    }
    for (const zone of within.querySelectorAll("[data-zone]")) zone.textContent = "";
  };

  // What goes on grows older, and comes nearer to its end, while the page stays as it was sent.
  const words = (seconds) => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    const two = (number) => String(number).padStart(2, "0");
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole % 3600 / 60))} m`;
    return `${Math.floor(whole / 86400)} d ${Math.floor(whole % 86400 / 3600)} h`;
  };
  const sentAt = new WeakMap();
  const tick = () => {
    if (document.hidden) return;
    const now = performance.now();
    for (const each of document.querySelectorAll("[data-age], [data-left]")) {
      if (!sentAt.has(each)) sentAt.set(each, now);
      const since = (now - sentAt.get(each)) / 1000;
      const {age, left, usual} = each.dataset;
      if (usual) each.querySelector(".done").setAttribute("width", Math.min(100, 100 * (Number(age) + since) / Number(usual)));
      else if (age) each.textContent = words(Number(age) + since);
      else {
        each.hidden = Number(left) <= since;
        each.firstElementChild.textContent = words(Math.max(0, Number(left) - since));
      }
    }
  };

  // The page as the server sent it, by element: only what the server changed is replaced.
  const sent = new Map();
  const remember = (page) => {
    for (const part of page.querySelectorAll("[data-live][id]")) sent.set(part.id, part.outerHTML);
  };

  // What stands in a part is known in its successor by what it is and does, and where: its text may be another one by now.
  const KNOWN = "a[href], button, summary, [tabindex], .wide, pre";
  const known = (each) => {
    const words = ["href", "name", "value"].map((word) => each.getAttribute(word));
    return [each.localName, each.closest("[id]").id, ...words].join(" ");
  };
  const alike = (part, name) => [part, ...part.querySelectorAll(KNOWN)].filter((each) => known(each) === name);
  const successor = (each, here, part) => {
    const name = known(each);
    const found = alike(part, name);
    const same = found[Math.min(alike(here, name).indexOf(each), found.length - 1)];
    if (same || !each.matches("a[href]")) return same;
    const href = each.getAttribute("href");
    return [...part.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === href);
  };

  // Puts *part* in the place of *here*, with what the reader opened, focused and scrolled there.  No part has a field in
  // which somebody could write.
  const replace = (here, part) => {
    const opened = new Set([...here.querySelectorAll("details[open]")].map((each) => each.closest("[id]").id));
    for (const each of part.querySelectorAll("details")) if (opened.has(each.closest("[id]").id)) each.open = true;
    const active = here.contains(document.activeElement) ? document.activeElement : null;
    const focused = active && successor(active, here, part);
    const scrolled = [here, ...here.querySelectorAll(".wide, pre")]
      .filter(({scrollLeft, scrollTop}) => scrollLeft || scrollTop)
      .map((each) => [successor(each, here, part), each.scrollLeft, each.scrollTop]);
    here.replaceWith(part);
    localTimes(part);
    localClocks(part);
    for (const [each, left, top] of scrolled) if (each) each.scrollTo(left, top);
    if (focused) focused.focus({preventScroll: true});
  };

  const renew = async () => {
    const answer = await fetch(location.pathname + location.search, {headers: {accept: "text/html"}});
    // The session has ended: the page that comes now says how to begin another one.
    if (answer.status === 401 && document.querySelector("main [data-live]")) location.reload();
    if (!answer.ok) throw new Error(`${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of page.querySelectorAll("[data-live][id]")) {
      const here = document.getElementById(part.id);
      if (!here || sent.get(part.id) === part.outerHTML) continue;
      sent.set(part.id, part.outerHTML);
      replace(here, document.adoptNode(part));
    }
    document.title = page.title;
  };

  // What is not live at this moment: the page, its stream, or both.
  const stale = new Set();
  const tell = (part, isLive) => {
    if (isLive) stale.delete(part); else stale.add(part);
    const notice = document.getElementById("stale");
    if (notice) notice.hidden = stale.size === 0;
  };

  const pauses = {page: 0, stream: 0};
  const pause = (part) => RETRY[Math.min(pauses[part]++, RETRY.length - 1)];

  let waiting = null;
  const renewAfter = (milliseconds) => {
    if (waiting || document.hidden) return;
    waiting = setTimeout(() => {
      waiting = null;
      renew().then(() => { pauses.page = 0; tell("page", true); }, () => { tell("page", false); renewAfter(pause("page")); });
    }, milliseconds);
  };
  const changed = () => renewAfter(LEAST_PAUSE);

  let events = null;
  let again = null;
  const close = () => {
    clearTimeout(again);
    if (events) events.close();
  };
  const open = () => {
    close();
    const {topic, news} = document.documentElement.dataset;
    events = new EventSource(`${root}api/v1/events${topic ? `?topic=${encodeURIComponent(topic)}` : ""}`);
    events.addEventListener("open", () => { pauses.stream = 0; tell("stream", true); });
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
    events.addEventListener("error", () => {
      tell("stream", false);
      // A lost connection is made anew by the browser, but not one that was answered with an error.
      if (events.readyState !== EventSource.CLOSED) return;
      again = setTimeout(open, pause("stream"));
      // Perhaps the page can be had, or its answer says why there is no stream.
      changed();
    });
  };

  // On a phone, the names of the pages are moved sideways: the present one is in sight.
  const showPresent = () => {
    const present = document.querySelector(".top nav [aria-current]");
    if (present) present.parentElement.scrollLeft = present.offsetLeft - (innerWidth - present.offsetWidth) / 2;
  };

  remember(document);
  // After the first frame: the browser's first words for a time take it ten milliseconds.
  requestAnimationFrame(() => setTimeout(() => { showPresent(); localTimes(document); localClocks(document); tick(); }));
  setInterval(tick, 1000);
  if (document.querySelector("[data-live]")) {
    open();
    document.addEventListener("visibilitychange", changed);
    window.addEventListener("pagehide", close);
    // The browser kept the page, and shows it again.
    window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  }
})();
