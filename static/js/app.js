// Shared behaviour. No inline handlers, no eval: everything hangs on data attributes.
const $ = (s, r = document) => r.querySelector(s);
const $$ = (s, r = document) => [...r.querySelectorAll(s)];
const icon = n => `<svg class="i" aria-hidden="true"><use href="${document.body.dataset.icons}#${n}"/></svg>`;

/* theme */
const root = document.documentElement;
function themeButtons() {
  const dark = root.dataset.theme === "dark";
  $$("[data-theme-toggle]").forEach(b => {
    b.innerHTML = icon(dark ? "sun" : "moon");
    b.setAttribute("aria-label", dark ? "Switch to light theme" : "Switch to dark theme");
  });
}
themeButtons();

/* toasts: the server sends HX-Trigger {"toast": {"text": "...", "kind": "ok|bad"}} */
export function toast(text, kind = "ok", keep = false) {
  const box = $("#toasts"), t = document.createElement("div");
  t.className = `toast ${kind}`;
  t.innerHTML = icon(kind === "bad" ? "alert" : "ccheck");
  const s = document.createElement("span"); s.textContent = text; t.append(s);
  const b = document.createElement("button"); b.className = "btn icon quiet s"; b.type = "button";
  b.setAttribute("aria-label", "Dismiss"); b.innerHTML = icon("x"); b.onclick = () => t.remove(); t.append(b);
  if (kind === "bad") t.setAttribute("role", "alert");
  box.append(t);
  if (!keep && kind !== "bad") setTimeout(() => { if (!t.matches(":hover,:focus-within")) t.remove(); }, 6000);
}
$$(".toasts .toast").forEach(t => { $("button", t)?.addEventListener("click", () => t.remove()); if (!t.matches(".bad")) setTimeout(() => { if (!t.matches(":hover,:focus-within")) t.remove(); }, 6000); });
document.addEventListener("toast", e => toast(e.detail.text, e.detail.kind));
document.addEventListener("htmx:responseError", e => toast(`That did not work (${e.detail.xhr.status}). Nothing was changed. Try again.`, "bad"));
document.addEventListener("htmx:sendError", () => toast("No connection. Nothing was sent.", "bad"));
document.addEventListener("htmx:timeout", () => toast("No answer for 15 s. Check the page before you try again.", "bad"));

/* what was typed into another form of the page is not lost without a word */
document.addEventListener("input", e => e.target.closest?.("form[data-typed]")?.setAttribute("data-typed", "yes"));
document.addEventListener("submit", e => {
  if ($$("form[data-typed=yes]").some(form => form !== e.target) && !confirm("What you typed elsewhere on this page is not saved and would be lost. Go on?")) e.preventDefault();
});

/* busy line after 150 ms */
let busy = 0, timer;
document.addEventListener("htmx:beforeRequest", () => { busy++; clearTimeout(timer); timer = setTimeout(() => busy && root.classList.add("htmx-busy"), 150); });
document.addEventListener("htmx:afterRequest", () => { if (--busy <= 0) { busy = 0; root.classList.remove("htmx-busy"); } });

/* dialogs that arrive as partials open themselves; focus goes back where it came from */
let opener = null;
document.addEventListener("htmx:afterSwap", e => {
  const d = $("dialog.auto-open:not([open])", e.detail.target);
  if (d) { opener = e.detail.requestConfig?.elt || document.activeElement; d.showModal(); d.addEventListener("close", () => { opener?.focus?.(); d.remove(); }, { once: true }); }
  countdowns();
});

/* one click handler */
document.addEventListener("click", e => {
  const el = e.target.closest("[data-open],[data-close],[data-toast],[data-copy],[data-theme-toggle],[data-astable],.seg button,[data-bulk-clear]");
  if (!el) return;
  if (el.dataset.open) $(el.dataset.open)?.showModal();
  if ("close" in el.dataset) el.closest("dialog")?.close();
  if (el.dataset.toast) { const f = el.closest("form"); if (!f || el.value !== "ok" || f.checkValidity()) toast(el.dataset.toast); }
  if (el.dataset.copy) navigator.clipboard?.writeText(el.dataset.copy);
  if ("themeToggle" in el.dataset) {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", `${root.dataset.theme} ${root.dataset.setting}`); } catch {}
    themeButtons(); document.dispatchEvent(new Event("themechange"));
  }
  if (el.dataset.astable) {
    const t = $(el.dataset.astable), c = $(".chart,[data-chartbox]", t.parentElement), show = t.hidden;
    t.hidden = !show; c.hidden = show; el.textContent = show ? "As chart" : "As table"; el.setAttribute("aria-expanded", show);
  }
  if (el.matches(".seg button[aria-pressed]")) $$("button[aria-pressed]", el.parentElement).forEach(b => b.setAttribute("aria-pressed", b === el));
  if ("bulkClear" in el.dataset) { $$("[data-list] input:checked").forEach(i => i.checked = false); bulk(); }
});
// click on the backdrop closes
document.addEventListener("mousedown", e => { if (e.target.matches?.("dialog[open]")) { const r = e.target.getBoundingClientRect(); if (e.clientX < r.left || e.clientX > r.right || e.clientY < r.top || e.clientY > r.bottom) e.target.close(); } });

/* countdowns: server time in data-now, ticked by the client */
const now0 = Date.parse(document.body.dataset.now), t0 = performance.now();
const now = () => now0 + (performance.now() - t0);
const fmt = ms => { const m = Math.floor(Math.abs(ms) / 6e4), d = Math.floor(m / 1440), h = Math.floor(m % 1440 / 60), i = m % 60; return d ? `${d} d ${h} h` : h ? `${h} h ${i} min` : `${i} min`; };
function countdowns() {
  $$("[data-countdown]").forEach(el => {
    const left = Date.parse(el.dataset.countdown) - now(), tail = el.textContent.includes(" left") ? " left" : "";
    el.textContent = left < 0 ? `Late by ${fmt(left)}` : fmt(left) + tail;
  });
  $$("[data-stopwatch]").forEach(el => { const s = +el.dataset.stopwatch + Math.floor((performance.now() - t0) / 1000); el.textContent = `${String(Math.floor(s / 60)).padStart(2, "0")}:${String(s % 60).padStart(2, "0")}`; });
}
countdowns(); setInterval(countdowns, $("[data-stopwatch]") ? 1000 : 20000);

/* list: j k x Enter, preview, bulk */
const rows = () => $$("[data-row]");
function pick(r, focus = true) {
  if (!r) return;
  rows().forEach(x => x.classList.toggle("sel", x === r));
  const a = $("[data-peek],a", r);
  if (!a) return;
  if (focus) { a.focus({ preventScroll: true }); r.scrollIntoView({ block: "nearest" }); }
  const peek = $("#peek");
  if (!peek?.offsetParent || !a.dataset.peek || peekShows(a)) return;
  peek.inert = true; held = "";
  htmx.ajax("GET", a.dataset.peek, { target: "#peek", swap: "innerHTML" });
}
// While the brief of the row is on its way nothing in the old one can be pressed; a vote key waits for the new one.
let held = "";
const peekShows = a => !!$(`a[href^="${a.dataset.peek}vote/"]`, $("#peek"));
const peekDone = e => {
  if (e.detail.target?.id !== "peek") return;
  const a = $("[data-row].sel [data-peek]"), key = held;
  if (e.detail.successful && a && !peekShows(a)) return;
  $("#peek").inert = false; held = "";
  if (key && e.detail.successful) $(`#peek [data-key="${CSS.escape(key)}"]`)?.click();
};
document.addEventListener("htmx:afterSettle", peekDone);
document.addEventListener("htmx:afterRequest", e => e.detail.successful || peekDone(e));
document.addEventListener("click", e => {
  const a = e.target.closest("[data-peek]");
  if (a && $("#peek")?.offsetParent && !e.ctrlKey && !e.metaKey && e.detail) { e.preventDefault(); pick(a.closest("[data-row]")); }
});
document.addEventListener("change", e => { if (e.target.closest("[data-list]")) bulk(); });
function bulk() {
  const bar = $("[data-bulkbar]"); if (!bar) return;
  const sel = $$("[data-list] input:checked"), r = sel.map(i => i.closest("[data-row]"));
  const kinds = new Set(r.map(x => x.dataset.bulk)), okAll = sel.length && kinds.size === 1 && !kinds.has("");
  bar.hidden = !sel.length;
  $("[data-bulk-count]").textContent = `${sel.length} selected`;
  $$("[data-bulk-n]").forEach(n => n.textContent = sel.length);
  $("[data-bulk-approve]").toggleAttribute("disabled", !okAll);
  $("[data-bulk-note]").textContent = okAll ? `All from the template ${[...kinds][0]}.` : "Approve together works for changes of one template. Open the others one by one.";
  if (okAll) { $("[data-bulk-tpl]").textContent = [...kinds][0]; $("[data-bulk-list]").replaceChildren(...r.map(x => { const li = document.createElement("li"); li.textContent = `${$(".id", x).textContent}  ${$(".ttl", x).textContent}`; return li; })); }
}

/* keyboard: single keys only outside fields and dialogs */
let g = 0;
document.addEventListener("keydown", e => {
  if (document.body.dataset.shortcuts === "off" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input:not([type=checkbox],[type=radio]),textarea,select,[contenteditable]") || $("dialog[open]")) return;
  const k = e.key;
  if (g && performance.now() - g < 900) { g = 0; const to = { q: "/approvals/", c: "/calendar/", h: "/", l: "/changes/", a: "/architecture/", n: "/notifications/" }[k]; if (to) { e.preventDefault(); location.href = to; return; } }
  if (k === "g") { g = performance.now(); return; }
  if (k === "?") { e.preventDefault(); $("#keys").showModal(); return; }
  if ("jk".includes(k) && rows().length) { e.preventDefault(); const all = rows(), i = all.findIndex(r => r.classList.contains("sel")); pick(all[Math.min(all.length - 1, Math.max(0, i + (k === "j" ? 1 : -1)))]); return; }
  const open = $("[data-row].sel .ttl,[data-row].sel [data-peek]");
  if (k === "o" && open?.href) { e.preventDefault(); location.href = open.href; return; }
  if (k === "x" && $("[data-row].sel input")) { e.preventDefault(); const c = $("[data-row].sel input"); c.checked = !c.checked; bulk(); return; }
  const b = $$(`[data-key="${CSS.escape(k)}"]`).find(x => x.offsetParent);
  if (b?.closest("[inert]")) { held = k; return; }
  const row = $("[data-row].sel"), seat = $("[data-peek]", row || document)?.dataset.peek, act = { a: "approve", c: "conditions", i: "info", r: "reject" }[k];
  // Where no brief stands beside the list, the keys act on the row.
  if (!b && row && seat && act) { e.preventDefault(); htmx.ajax("GET", `${seat}vote/?vote=${act}&next=queue`, { target: "#dialog-slot", swap: "innerHTML" }); return; }
  if (!b && row && k === "l") { $("[data-claim]", row)?.click(); return; }
  if (b) { e.preventDefault(); b.matches("input") ? b.focus() : b.click(); }
});

/* page tabs follow the scroll */
const tabs = $$(".chead .tabs a");
if (tabs.length) {
  const io = new IntersectionObserver(es => es.forEach(x => { if (x.isIntersecting) tabs.forEach(t => t.getAttribute("href") === "#" + x.target.id ? t.setAttribute("aria-current", "true") : t.removeAttribute("aria-current")); }), { rootMargin: "-20% 0px -70% 0px" });
  tabs.forEach(t => { const s = $(t.getAttribute("href")); if (s) io.observe(s); });
}

/* impact graph: light up the path of the node under the pointer or focus */
$$("svg.impact").forEach(svg => {
  const on = id => {
    const seen = new Set([id]), es = $$(".e", svg);
    for (let grew = true; grew;) { grew = false; es.forEach(e => { if (seen.has(e.dataset.a) && !seen.has(e.dataset.b) && e.classList.contains("hit")) { seen.add(e.dataset.b); grew = true; } }); }
    const down = new Set([id]);
    for (let grew = true; grew;) { grew = false; es.forEach(e => { if (down.has(e.dataset.b) && !down.has(e.dataset.a) && e.classList.contains("hit")) { down.add(e.dataset.a); grew = true; } }); }
    svg.classList.add("dim");
    $$(".n", svg).forEach(n => n.classList.toggle("lit", seen.has(n.dataset.id) || down.has(n.dataset.id)));
    es.forEach(e => e.classList.toggle("lit", [seen, down].some(q => q.has(e.dataset.a) && q.has(e.dataset.b))));
  };
  const off = () => svg.classList.remove("dim");
  $$("a", svg).forEach(a => { const id = $(".n", a).dataset.id; a.addEventListener("mouseenter", () => on(id)); a.addEventListener("focus", () => on(id)); a.addEventListener("mouseleave", off); a.addEventListener("blur", off); });
});

/* steppers of a form: add another row from its template */
document.addEventListener("click", e => {
  const b = e.target.closest("[data-add-row]");
  if (!b) return;
  const box = $(b.dataset.addRow), n = +box.dataset.next, copy = $("template", box.parentElement).content.cloneNode(true);
  copy.querySelectorAll("[name],[id],[for]").forEach(x => ["name", "id", "for"].forEach(a => x.hasAttribute(a) && x.setAttribute(a, x.getAttribute(a).replace("__n__", n))));
  box.append(copy); box.dataset.next = n + 1; $("input", box.lastElementChild)?.focus();
});
