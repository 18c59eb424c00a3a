// Loads parts of a page again when what they show has changed. A part names its topics: data-live="jobs study-3",
// with hx-trigger="live". The node sends the topics that changed (docs/reference/web.md, "Live pages").
//
// This file runs twice: in each page, and in one shared worker that holds the stream of events for all pages of a
// browser, which opens six connections to a server at most. Without shared workers a page holds its own while visible.
"use strict";
(() => {
  const FIRST_MS = 1000, LONGEST_MS = 60000, SILENCE_MS = 45000, PATIENCE_MS = 8000, PAGE_MS = 30000;

  // The stream, connected again after a loss. Calls listener(topics), and state(word): connected, lost or refused.
  function makeStream(listener, state) {
    let source = null, since = "", delay = FIRST_MS, retry = 0, silence = 0, patience = 0;

    function open() {
      clearTimeout(retry);
      if (source) return;
      source = new EventSource(since ? `/events?since=${since}` : "/events");
      source.addEventListener("open", listen);
      source.addEventListener("changes", changed);
      source.addEventListener("error", lost);
      listen();
    }

    function close() {
      for (const timer of [retry, silence, patience]) clearTimeout(timer);
      patience = 0;
      if (source) source.close();
      source = null;
    }

    // A connection that is gone without a sign, as after a computer slept, is noticed by its silence.
    function listen() {
      clearTimeout(silence);
      silence = setTimeout(lost, SILENCE_MS);
    }

    function changed(event) {
      listen();
      clearTimeout(patience);
      patience = 0;
      delay = FIRST_MS;
      since = event.lastEventId;
      state("connected");
      listener(event.data.split(" "));
    }

    function lost() {
      if (source.readyState === EventSource.CLOSED) state("refused");
      clearTimeout(silence);
      source.close();
      source = null;
      if (!patience) patience = setTimeout(state, PATIENCE_MS, "lost");
      retry = setTimeout(open, delay * (0.5 + Math.random()));
      delay = Math.min(2 * delay, LONGEST_MS);
    }

    return { open, close };
  }

  function runWorker() {
    const pages = new Set();
    let last = "connected", changedAt = 0;
    const tell = (message) => pages.forEach((page) => page.postMessage(message));
    const listener = (topics) => {
      if (topics.join() !== "tick") changedAt = Date.now();
      tell({ topics });
    };
    const stream = makeStream(listener, (state) => {
      last = state;
      tell({ state });
    });
    self.addEventListener("connect", (event) => {
      const page = event.ports[0];
      page.onmessage = () => {
        pages.delete(page);
        if (!pages.size) stream.close();
      };
      // The page may have been made before the last change.
      page.postMessage({ state: last, topics: Date.now() - changedAt < PAGE_MS ? ["all"] : [] });
      pages.add(page);
      stream.open();
    });
  }

  function runPage(notice) {
    const held = new Set();

    function receive({ state, topics }) {
      if (state) document.body.dataset.connection = state;
      if (state) notice.hidden = state !== "lost";
      // Refused, perhaps because the session has ended: then the response to this request leads to the login page.
      if (state === "refused") htmx.trigger("#health", "live");
      for (const part of topics ? document.querySelectorAll("[data-live]") : []) {
        const own = part.dataset.live.split(" ");
        if (topics.includes("all") || own.some((topic) => topics.includes(topic))) held.add(part);
      }
      release();
    }

    // A part in which somebody writes, chooses or has selected rows is loaded once that has ended.
    function isInUse(part) {
      const focused = document.activeElement;
      const isWriting = part.contains(focused) && focused.matches("input:not([type=checkbox]), select, textarea");
      return isWriting || part.querySelector("input[type=checkbox]:checked, dialog[open]") !== null;
    }

    function release() {
      for (const part of document.hidden ? [] : held) {
        if (part.isConnected && isInUse(part)) continue;
        held.delete(part);
        if (part.isConnected) htmx.trigger(part, "live");
      }
    }

    // On a narrow screen the menu scrolls within itself: the word of this page is in sight.
    const menu = document.querySelector("nav[aria-label=Pages]"), current = menu && menu.querySelector("[aria-current]");
    if (current) menu.scrollLeft = current.offsetLeft - menu.offsetLeft - (menu.clientWidth - current.offsetWidth) / 2;

    // What a person has unfolded stays so.
    let unfolded = [];
    document.addEventListener("htmx:beforeSwap", () => {
      unfolded = [...document.querySelectorAll("details[id][open]")].map((details) => details.id);
    });
    document.addEventListener("htmx:afterSwap", () => {
      for (const id of unfolded) {
        const details = document.getElementById(id);
        if (details) details.open = true;
      }
    });
    for (const name of ["focusout", "change", "close"]) document.addEventListener(name, () => setTimeout(release), true);
    document.addEventListener("visibilitychange", release);

    if (self.SharedWorker) {
      let port = null;
      const join = () => {
        if (port) return;
        port = new SharedWorker(document.querySelector("script[src*='/live.js']").src).port;
        port.onmessage = (event) => receive(event.data);
      };
      addEventListener("pageshow", join);
      addEventListener("pagehide", () => {
        port.postMessage("closed");
        port = null;
      });
      join();
    } else {
      const stream = makeStream((topics) => receive({ topics }), (state) => receive({ state }));
      const toggle = () => (document.hidden ? stream.close() : stream.open());
      document.addEventListener("visibilitychange", toggle);
      addEventListener("pagehide", stream.close);
      addEventListener("pageshow", toggle);
      toggle();
    }
  }

  const notice = self.document && document.getElementById("connection");
  if (!self.document) runWorker();
  else if (notice) runPage(notice); // it is absent while nobody is logged in
})();
