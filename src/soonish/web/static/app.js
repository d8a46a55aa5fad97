// Small improvements over pages that work without any of this.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  // The event's own time stays as the server wrote it; the viewer's own stands beside it.
  function showViewerTimes(within) {
    for (const element of within.querySelectorAll("[data-viewer-time]")) {
      const moment = new Date(element.dataset.viewerTime);
      const [own, events] = [zone, element.dataset.zone].map((timeZone) => inWords(moment, timeZone));
      element.hidden = own === events;
      element.textContent = element.dataset.label.replace("{}", own);
    }
  }
  function inWords(moment, timeZone) {
    // The server writes English dates as 26 Nov, 17:30.
    return moment.toLocaleString(root.lang === "en" ? "en-GB" : root.lang, {
      timeZone, weekday: "short", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    });
  }

  // A select takes the browser's zone if it knows it, a hidden field in any case.
  function chooseTimezone(within) {
    for (const field of within.querySelectorAll("[data-browser-zone]")) {
      if (!field.options || [...field.options].some((option) => option.value === zone)) field.value = zone;
    }
  }

  function enhance(within) {
    showViewerTimes(within);
    chooseTimezone(within);
  }

  // A form is sent once: the second click finds its buttons off.
  function lockForm(form) {
    for (const button of form.querySelectorAll("button:not([type=button])")) {
      button.setAttribute("aria-disabled", "true");
      button.dataset.sending = "";
    }
  }
  function unlockForms() {
    for (const button of document.querySelectorAll("button[data-sending]")) {
      button.removeAttribute("aria-disabled");
      delete button.dataset.sending;
    }
  }
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.querySelector("button[data-sending]")) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    setTimeout(() => lockForm(form));
  }, true);
  document.addEventListener("htmx:afterRequest", unlockForms);
  window.addEventListener("pageshow", unlockForms);

  // Without a sheet to share with, or where it fails, the link is copied.
  async function share(button) {
    const { share: url, title, copyDone } = button.dataset;
    try {
      if (navigator.share) return await navigator.share({ title, url });
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    await navigator.clipboard.writeText(url);
    announce(copyDone);
    showNotice(copyDone, "good");
  }

  async function copy(button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    announce(button.dataset.done);
  }
  function announce(text) {
    const region = document.getElementById("announcer");
    if (region) region.textContent = text;
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button).catch(() => button.previousElementSibling?.select?.());
    const sharing = event.target.closest("[data-share]");
    if (sharing) share(sharing).catch(() => window.prompt(sharing.dataset.title, sharing.dataset.share));
    if (event.target.closest("[data-print]")) window.print();
  });

  // Every status but 204 carries something worth showing: form errors come back as 422.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const status = event.detail.xhr.status;
    if (status >= 400) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  // A lost connection is said once, and taken back when the next request gets through.
  document.addEventListener("htmx:sendError", (event) => {
    unlockForms();
    const asking = event.detail.requestConfig?.verb === "get";
    showNotice(asking ? root.dataset.offline : root.dataset.unsent, "warn");
  });
  const connected = () => document.querySelector("#notices [data-notice=warn]")?.remove();
  document.addEventListener("htmx:afterOnLoad", connected);
  window.addEventListener("online", connected);
  window.addEventListener("offline", () => showNotice(root.dataset.offline, "warn"));
  const tones = { warn: "bg-warn-soft text-warn", good: "bg-good-soft text-good" };
  function showNotice(text, kind) {
    const place = document.getElementById("notices");
    if (!place) return;
    const notice = document.createElement("p");
    notice.className = `rounded-2xl px-4 py-3 ${tones[kind]}`;
    notice.dataset.notice = kind;
    notice.textContent = text;
    place.replaceChildren(notice);
  }
  // After a new page has been swapped in, the keyboard and a screen reader start at its heading.
  document.addEventListener("htmx:afterSettle", (event) => {
    enhance(event.target);
    const section = event.target.querySelector?.("[data-focus]");
    if (section && event.detail.requestConfig && event.target.id === "organizer") {
      const wrong = event.target.querySelector("[aria-invalid=true], [role=alert]");
      if (wrong && !wrong.matches("input, textarea, select")) wrong.tabIndex = -1;
      (wrong ?? section).focus();
      return;
    }
    if (event.target !== document.body) return followUp(event);
    const invalid = firstInvalid();
    const heading = invalid ?? document.querySelector("main h1");
    if (heading && (invalid || !document.activeElement?.autofocus)) {
      if (!invalid) heading.tabIndex = -1;
      heading.focus({ preventScroll: !invalid });
    }
  });
  const firstInvalid = () => document.querySelector("[aria-invalid=true]");
  // A button that was pressed and replaced takes the focus with it: what came instead gets it.
  function followUp(event) {
    const by = event.detail.requestConfig?.triggeringEvent?.type;
    if (!["submit", "click"].includes(by) || document.activeElement !== document.body) return;
    const place = event.target.querySelector("[aria-invalid=true]") ?? event.target;
    if (!place.matches("input, textarea, select, button, a[href]")) place.tabIndex = -1;
    place.focus({ preventScroll: true });
  }

  // What is followed live: a lost stream is said and comes back by itself, its end is said once.
  function sayLive(element, text) {
    const status = element.querySelector("[data-live-status]");
    if (status && status.textContent !== text) status.textContent = text;
  }
  document.addEventListener("htmx:sseError", (event) => sayLive(event.target, event.target.dataset.lost));
  document.addEventListener("htmx:sseOpen", (event) => {
    sayLive(event.target, "");
    connected();
  });
  document.addEventListener("htmx:sseClose", (event) => {
    if (event.detail.type === "message") sayLive(event.target, event.target.dataset.done);
  });

  document.addEventListener("alpine:init", () => {
    // What was typed survives a lost session or a closed tab, until it is sent.
    window.Alpine.data("draft", () => ({
      init() {
        const form = this.$el;
        const fields = [form.elements.title, form.elements.body];
        const kept = JSON.parse(sessionStorage.getItem(form.dataset.draft) ?? "[]");
        if (fields.every((field) => !field.value)) fields.forEach((field, i) => { field.value = kept[i] ?? ""; });
        form.addEventListener("input", () => {
          sessionStorage.setItem(form.dataset.draft, JSON.stringify(fields.map((field) => field.value)));
        });
      },
    }));
    window.Alpine.data("forgetDraft", () => ({
      init() { sessionStorage.removeItem(this.$el.dataset.draft); },
    }));
    window.Alpine.data("sendAtOnce", () => ({
      init() { this.$el.requestSubmit(); },
    }));
    window.Alpine.data("disclosure", () => ({
      open: false,
      toggle() { this.open = !this.open; },
      close() { this.open = false; },
    }));
    window.Alpine.data("charCount", () => ({
      count: 0,
      init() { this.update(); },
      update() { this.count = this.$refs.text.value.length; },
    }));
    window.Alpine.data("copied", () => ({
      done: false,
      mark() { this.done = true; setTimeout(() => { this.done = false; }, 2500); },
    }));
  });
  enhance(document);
  firstInvalid()?.focus(); // autofocus would be elsewhere
  // The menu on a phone closes as menus do.
  const closeMenu = () => document.querySelector("details[data-menu][open]")?.removeAttribute("open");
  document.addEventListener("click", (event) => event.target.closest("details[data-menu]") || closeMenu());
  document.addEventListener("keydown", (event) => event.key === "Escape" && closeMenu());
})();
