// What all views use: making elements, writing numbers, the data of the page.
"use strict";

const BE = {};

BE.SVG = "http://www.w3.org/2000/svg";

// Names come from other people's results: text becomes a text node and never markup.
BE.fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};

BE.h = (tag, attributes, ...children) => BE.fill(document.createElement(tag), attributes, children);

BE.s = (tag, attributes, ...children) => BE.fill(document.createElementNS(BE.SVG, tag), attributes, children);

// A name in any script must not turn round what stands beside it.
BE.name = (text) => BE.h("bdi", null, text);

BE.link = (hash, ...children) => BE.h("a", { href: hash }, ...children);

BE.hidden = (text) => BE.h("span", { class: "hidden" }, text);

BE.modelHash = (model) => `#/model/${model.id}`;
BE.taskHash = (task) => `#/task/${encodeURIComponent(task.id)}`;
BE.modelLink = (model) => BE.link(BE.modelHash(model), BE.name(model.label));
BE.taskLink = (column) => BE.link(BE.taskHash(column.task), BE.name(column.title));

// Tells a screen reader what changed.
BE.say = (text) => {
  document.getElementById("status").textContent = text;
};

const MINUS = "\u2212";

BE.isNumber = (value) => typeof value === "number" && Number.isFinite(value);

BE.fixed = (value, digits) => {
  if (!BE.isNumber(value)) return "\u2013";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + text;
};

BE.signed = (value, digits) => {
  const text = BE.fixed(value, digits);
  return BE.isNumber(value) && value > 0 && Number(text) !== 0 ? `+${text}` : text;
};

BE.range = (low, high, digits) =>
  BE.isNumber(low) && BE.isNumber(high)
    ? `${BE.fixed(low, digits)}${low < 0 || high < 0 ? " to " : "\u2013"}${BE.fixed(high, digits)}`
    : "";

// Rounding must not carry a p-value over the usual threshold.
BE.pValue = (p) => {
  if (!BE.isNumber(p)) return "\u2013";
  if (p < 0.001) return "< 0.001";
  if (p >= 0.04995 && p < 0.05) return "< 0.05";
  return p > 0.9995 ? "1" : p.toFixed(p >= 0.045 && p < 0.055 ? 4 : 3);
};

// Behind the letter p.
BE.equals = (p) => (BE.pValue(p).startsWith("<") ? BE.pValue(p) : `= ${BE.pValue(p)}`);

BE.count = (value) => (BE.isNumber(value) ? String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f") : "\u2013");

// 2557632 -> 2.6M
BE.short = (value) => {
  if (!BE.isNumber(value)) return "\u2013";
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(value >= 100 * size ? 3 : 2))}${letter}`;
  }
  return String(value);
};

BE.seconds = (value) => {
  if (!BE.isNumber(value)) return "\u2013";
  // Rounded before it is divided: there is no 60th second.
  const [tenths, whole, minutes] = [Math.round(value * 10) / 10, Math.round(value), Math.round(value / 60)];
  if (tenths < 60) return `${tenths.toFixed(1)} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

// A number on the page carries the unrounded one, for whoever reads it by a script.
BE.data = (value, text, className) => BE.h("data", { value: BE.isNumber(value) ? value : "", class: className }, text);

BE.plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

BE.select = (id, label, options, value, onchange) =>
  BE.h("div", { class: "field" },
    BE.h("label", { for: id }, label),
    BE.h("select", { id, onchange },
      options.map(([key, text]) => BE.h("option", { value: key, selected: String(key) === String(value), dir: "auto" }, text))));

// What is wide scrolls by itself, so that the page never does sideways; reachable by keyboard. A line and a shadow tell of the rest.
BE.scroller = (label, content, className) => {
  const box = BE.h("div", { class: `scroller ${className || ""}`, role: "region", "aria-label": label, tabindex: "0" }, content);
  const edge = BE.h("div", { class: "edge" }, box);
  const hint = BE.h("p", { class: "sideways", hidden: true, "aria-hidden": "true" }, "Wider than it can be shown: scroll sideways \u2192");
  const look = () => {
    const room = box.scrollWidth - box.clientWidth;
    hint.hidden = room <= 1;
    edge.classList.toggle("more", room - box.scrollLeft > 1);
  };
  // In the next frame: what is changed inside an observer's call may be one turn too late for the browser, which reports an error.
  const observer = new ResizeObserver(() => requestAnimationFrame(look));
  observer.observe(box);
  observer.observe(content);
  box.addEventListener("scroll", look, { passive: true });
  return BE.h("div", { class: "wider" }, hint, edge);
};

BE.headRow = (titles) =>
  BE.h("tr", null, titles.map((title) => (title === "" ? BE.h("td") : BE.h("th", { scope: "col", class: Array.isArray(title) ? title[1] : null },
    Array.isArray(title) ? title[0] : title))));

BE.download = (name, type, text) => {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = BE.h("a", { href: url, download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};
