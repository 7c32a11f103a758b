// Starts the page: reads the payload, shows the view that the address names, switches the theme.
"use strict";

BE.route = () => {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const slash = path.indexOf("/");
  const name = slash < 0 ? path : path.slice(0, slash);
  let rest = slash < 0 ? "" : path.slice(slash + 1);
  try {
    rest = decodeURIComponent(rest);
  } catch {
    rest = "";  // a broken escape names nothing
  }
  return { name, rest, query: new URLSearchParams(query || "") };
};

BE.noView = (name) => ({
  title: "No such view",
  node: BE.notice("No such view", [`This page has no view \u201c`, BE.name(name), "\u201d: there are the ", BE.link("#/", "overview"), " and those named at the top."]),
});

BE.show = (moved) => {
  const { name, rest, query } = BE.route();
  const view = Object.hasOwn(BE.views, name || "overview") ? BE.views[name || "overview"] : () => BE.noView(name);
  const { title, node } = view(query, rest);
  const main = document.getElementById("main");
  main.replaceChildren(node);
  document.title = `${title} \u00b7 ${BE.payload.title}`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!moved) return;
  // A choice in a form must keep the focus; a link's target takes it, so that a screen reader goes on there.
  const kept = moved.focus && document.getElementById(moved.focus);
  if (kept) return kept.focus();
  window.scrollTo(0, 0);
  const heading = main.querySelector("h1");
  if (heading) heading.focus({ preventScroll: true });
};

BE.theme = () => {
  const button = document.getElementById("theme");
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("babyeval-theme");
  } catch {
    // no storage for this page: the choice lasts as long as it is open
  }
  const apply = () => {
    const dark = chosen ? chosen === "dark" : preferred.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Switch to light mode" : "Switch to dark mode";
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("babyeval-theme", chosen);
    } catch {
      // as above
    }
    apply();
  });
  preferred.addEventListener("change", apply);
  apply();
};

(() => {
  BE.theme();
  const payload = JSON.parse(document.getElementById("payload").textContent);
  BE.start(payload);
  document.querySelector("nav a[data-view='compare']").parentElement.hidden = payload.models.length < 2;
  document.getElementById("brand-title").textContent = "leaderboard";
  document.getElementById("footer").append(
    BE.h("p", null, `Made by babyeval ${payload.babyeval} on `, BE.h("time", { datetime: payload.made }, payload.made.slice(0, 16).replace("T", " "), " UTC"),
      `; protocol ${payload.protocol}, split ${payload.split}. All numbers are in this file; nothing is loaded from a network.`));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();  // the address names views, not places in them
    document.getElementById("main").focus();
  });
  window.addEventListener("hashchange", () => BE.show({ focus: document.activeElement && document.activeElement.closest("main form") ? document.activeElement.id : null }));
  BE.show(null);
})();
