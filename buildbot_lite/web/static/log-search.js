// The search in a log: goes on by itself, counts what is found, leads from one line to the next, and marks the text in
// the lines.  The list of what was found is a page of its own, which is whole without it.
"use strict";
(() => {
  const MOST = 1000; // lines that are found without being asked for more
  const fields = {"/": document.getElementById("search"), g: document.getElementById("line")};
  const list = document.getElementById("searched");
  const hits = document.getElementById("hits");

  const ATTEMPTS = 5;
  const PAUSE = 3000; // milliseconds after an attempt that failed, for instance because too many search

  const page = async (address) => {
    let answer;
    for (let attempt = 0; !answer?.ok; attempt++) {
      if (attempt === ATTEMPTS) throw new Error(answer.statusText);
      if (attempt) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      answer = await fetch(address, {headers: {accept: "text/html"}});
    }
    const got = new DOMParser().parseFromString(await answer.text(), "text/html");
    const searched = got.getElementById("searched");
    return {
      rows: [...got.querySelectorAll("#found .row")],
      part: Number(searched?.dataset.part || 1),
      next: got.querySelector("a[rel=next]")?.getAttribute("href"),
      previous: got.querySelector("a[rel=prev]")?.getAttribute("href"),
      state: searched?.dataset.state,
      gone: searched?.dataset.gone || "",
    };
  };
  const lines = (count, isAll) => `${count.toLocaleString()}${isAll ? "" : "+"} line${count === 1 && isAll ? "" : "s"}`;
  const percent = (part) => `${Math.floor(part * 100)} % searched`;

  // The list.

  const searchOn = async () => {
    const link = document.querySelector("a[rel=next]");
    const query = new URLSearchParams(location.search);
    if (!link || query.has("at") || query.has("back")) return;
    const button = link.parentElement;
    button.hidden = true;
    let found = document.getElementById("found");
    let count = found ? found.childElementCount : 0;
    let next = link.getAttribute("href");
    try {
      for (let part = Number(list.dataset.part); next && count < MOST; ) {
        list.textContent = `${lines(count, true)} so far, ${percent(part)} …`;
        const got = await page(next);
        if (got.rows.length && !found) {
          found = document.createElement("div");
          found.className = "log found";
          found.id = "found";
          list.before(found);
        }
        if (got.rows.length) found.append(...got.rows);
        count += got.rows.length;
        const isStuck = got.next === next;
        [next, part] = [got.next, got.part];
        const all = count ? `${lines(count, true)}.` : got.gone ? "Nothing." : "Nothing in the whole log.";
        list.textContent = next ? `${lines(count, false)}, ${percent(part)}.` : `${all}  ${got.gone}`;
        if (isStuck) break;
      }
    } finally {
      if (next) link.setAttribute("href", next);
      button.hidden = !next;
    }
  };

  // From one line to the next.

  const ways = {};
  const way = (name, text) => {
    const link = ways[name] = document.createElement("a");
    link.className = "button";
    link.textContent = text;
    link.setAttribute("aria-disabled", "true");
    return link;
  };
  const lead = (name, to) => {
    if (!to) { ways[name].removeAttribute("href"); ways[name].setAttribute("aria-disabled", "true"); return; }
    ways[name].setAttribute("href", to);
    ways[name].removeAttribute("aria-disabled");
  };
  const here = () => Number(/^#L(\d+)/.exec(location.hash)?.[1] || 0);

  // What is known of this search is kept while the tab is open; what the log got meanwhile is searched then.
  const key = hits && `found ${new URL(hits.dataset.search, location)}`;
  const known = () => {
    try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
  };
  const keep = (state) => {
    try { sessionStorage.setItem(key, JSON.stringify(state)); } catch { /* it is searched again on the next page */ }
  };

  const leadOn = async () => {
    const said = document.createElement("span");
    said.className = "quiet";
    said.setAttribute("role", "status");
    hits.prepend(way("p", "Previous"), way("n", "Next"), said);
    const state = known() || {found: [], next: hits.dataset.search, part: 0};
    const say = () => {
      const at = state.found.findIndex((each) => each[0] >= here());
      const isHere = at >= 0 && state.found[at][0] === here();
      const before = here() && at !== 0 ? state.found.at(at < 0 ? -1 : at - 1) : null;
      const after = state.found.find((each) => each[0] > here());
      lead("p", before && (at >= 0 || !state.next) ? before[1] : null);
      lead("n", after ? after[1] : null);
      const count = lines(state.found.length, !state.next);
      said.textContent = `${isHere ? `${(at + 1).toLocaleString()} of ${count}` : count}${state.next ? `, ${percent(state.part)}` : state.gone ? `.  ${state.gone}` : ""}`;
    };
    say();
    for (let next = state.next || state.end; next && state.found.length < MOST; next = state.next) {
      const got = await page(next);
      const isStuck = got.next === next;
      state.found.push(...got.rows.map((row) => {
        const link = row.querySelector("a.n");
        return [Number(link.textContent), link.getAttribute("href")];
      }));
      [state.next, state.part, state.end, state.gone] = [got.next, got.part, `${hits.dataset.search}&at=${got.state}`, got.gone];
      keep(state);
      say();
      if (isStuck) break;
    }
    // Behind what is known, the server searches from here on, or back from here.
    const sayAll = async () => {
      say();
      const line = here();
      const known = state.found.at(-1)?.[0] || 0;
      const isBehind = {n: state.next && known <= line, p: state.next && known < line};
      for (const [name, way, place] of [["n", "next", `at=${line + 1}`], ["p", "previous", `back=${line}`]]) {
        for (let address = isBehind[name] && `${hits.dataset.search}&${place}`, last; address && address !== last; ) {
          const got = await page(address);
          if (here() !== line) return;
          lead(name, got.rows.at(name === "p" ? -1 : 0)?.querySelector("a.n").getAttribute("href"));
          [last, address] = [address, got.rows.length ? null : got[way]];
        }
      }
    };
    addEventListener("hashchange", () => { sayAll().catch(() => {}); });
    await sayAll();
  };

  // The text in the lines.

  const found = hits && CSS.highlights ? new Highlight() : null;
  const wanted = hits && (hits.dataset.case === undefined ? hits.dataset.find.toLowerCase() : hits.dataset.find);
  const highlight = () => {
    found.clear();
    for (const code of document.querySelectorAll("#log code")) {
      const nodes = [];
      let text = "";
      for (const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT); walker.nextNode(); ) {
        nodes.push([text.length, walker.currentNode]);
        text += walker.currentNode.data;
      }
      const plain = hits.dataset.case === undefined ? text.toLowerCase() : text;
      if (plain.length !== text.length) continue; // places differ
      const place = (at, isEnd) => {
        const [start, node] = nodes.findLast((each) => each[0] < at || (each[0] === at && !isEnd));
        return [node, at - start];
      };
      for (let at = plain.indexOf(wanted); at >= 0; at = plain.indexOf(wanted, at + wanted.length)) {
        const piece = new Range();
        piece.setStart(...place(at, false));
        piece.setEnd(...place(at + wanted.length, true));
        found.add(piece);
      }
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (fields[event.key]) {
      event.preventDefault();
      fields[event.key].focus();
      fields[event.key].select();
    } else if (ways[event.key]?.href) {
      ways[event.key].click();
    }
  });

  if (list) searchOn().catch(() => {});
  if (hits) leadOn().catch(() => {});
  if (found) {
    CSS.highlights.set("found", found);
    highlight();
    document.addEventListener("lines", highlight);
  }
})();
