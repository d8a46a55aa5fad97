// Small improvements over pages that work without any of this.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  // The event's own time stays as the server wrote it; the viewer's own stands beside it.
  function showViewerTimes(within) {
    for (const element of within.querySelectorAll("[data-viewer-time]")) {
      if (element.dataset.zone === zone) continue;
      const moment = new Date(element.dataset.viewerTime);
      // The server writes English dates as 26 Nov, 17:30.
      const text = moment.toLocaleString(root.lang === "en" ? "en-GB" : root.lang, {
        weekday: "short", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
      });
      element.textContent = `${element.dataset.label} ${text}`;
      element.hidden = false;
    }
  }

  function chooseTimezone(within) {
    const select = within.querySelector("select[data-browser-zone]");
    if (select && [...select.options].some((option) => option.value === zone)) select.value = zone;
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
    showNotice(asking ? root.dataset.offline : root.dataset.unsent);
  });
  document.addEventListener("htmx:afterOnLoad", () => {
    document.querySelector("#notices [data-offline-notice]")?.remove();
  });
  function showNotice(text) {
    const place = document.getElementById("notices");
    if (!place) return;
    const notice = document.createElement("p");
    notice.className = "rounded-xl bg-warn-soft px-4 py-3 text-warn";
    notice.dataset.offlineNotice = "";
    notice.textContent = text;
    place.replaceChildren(notice);
  }
  // After a new page has been swapped in, the keyboard and a screen reader start at its heading.
  document.addEventListener("htmx:afterSettle", (event) => {
    enhance(event.target);
    if (event.target !== document.body) return;
    const invalid = document.querySelector("[aria-invalid=true]");
    const heading = invalid ?? document.querySelector("main h1");
    if (heading && !document.activeElement?.autofocus) {
      if (!invalid) heading.tabIndex = -1;
      heading.focus({ preventScroll: !invalid });
    }
  });

  document.addEventListener("alpine:init", () => {
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
})();
