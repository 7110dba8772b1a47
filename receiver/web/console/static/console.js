// Makes the pages tick: times that pass, and what has changed meanwhile. Without it they are whole, and stand still.
"use strict";

(() => {
  const REFRESH_MS = 5000;
  const ANSWER_MS = 10000;
  const SELDOM_MS = 60000;
  const loadedAt = Date.now();
  const asOf = document.querySelector("#as-of time");
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  // The receiver's clock counts, not the browser's: `ahead` is how far the browser's is ahead of it.
  let ahead = asOf ? loadedAt - Date.parse(asOf.dateTime) : 0;

  function now() {
    return (Date.now() - ahead) / 1000;
  }

  function lasting(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    const at = units.findIndex(([size]) => whole >= size);
    if (at < 0 || at === units.length - 1) {
      return `${whole} s`;
    }
    const [size, unit] = units[at];
    const [smaller, name] = units[at + 1];
    const rest = Math.floor((whole % size) / smaller);
    return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${name}` : "");
  }

  function tick() {
    for (const one of document.querySelectorAll("[data-at]")) {
      const ago = now() - Number(one.dataset.at);
      one.textContent = ago < 0 ? `(in ${lasting(-ago)})` : `(${lasting(ago)} ago)`;
    }
    for (const one of document.querySelectorAll("[data-until]")) {
      one.textContent = lasting(Number(one.dataset.until) - now());
    }
  }

  // What differs each time although nothing has changed: keys of forms, and how long ago something was.
  function content(element) {
    const copy = element.cloneNode(true);
    copy.querySelectorAll("input[name=idempotency_key]").forEach((one) => one.remove());
    copy.querySelectorAll("[data-at], [data-until]").forEach((one) => one.replaceChildren());
    return copy.outerHTML;
  }

  // Whether the receiver has answered.
  async function refresh() {
    const note = document.querySelector("[data-live-note]");
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error", signal });
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const found = fresh.getElementById(old.id);
        // Nobody loses a button from under the finger, or what they are filling in.
        if (found && !old.contains(document.activeElement) && content(old) !== content(found)) {
          old.replaceWith(document.adoptNode(found));
        }
      }
      const then = fresh.querySelector("#as-of time");
      if (asOf && then) {
        asOf.dateTime = then.dateTime;
        asOf.textContent = then.textContent;
        ahead = Date.now() - Date.parse(then.dateTime);
      }
      note.textContent = "It is looked again every 5 seconds.";
      tick();
      return true;
    } catch {
      note.textContent = "The receiver does not answer: what you see may be old.";
      return false;
    }
  }

  // A tab has one question at a time, and asks a receiver in need less and less: many tabs must not keep it busy.
  async function watch(wait) {
    if (!document.hidden) {
      wait = (await refresh()) ? REFRESH_MS : Math.min(2 * wait, SELDOM_MS);
    }
    setTimeout(watch, wait, wait);
  }

  tick();
  setInterval(tick, 1000);
  // What was filled in wrongly is being corrected: nothing is replaced, and this address is that of a form.
  if (document.querySelector("[data-live]") && !document.querySelector("[data-still]")) {
    document.querySelector("[data-live-note]").textContent = "It is looked again every 5 seconds.";
    setTimeout(watch, REFRESH_MS, REFRESH_MS);
  }
  // A second click while the first is on its way: the key of the form makes it harmless, this makes it unlikely.
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button");
    if (button) {
      setTimeout(() => { button.disabled = true; });
      setTimeout(() => { button.disabled = false; }, REFRESH_MS);
    }
  });
})();
