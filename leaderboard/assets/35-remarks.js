// Remarks that several views make: what mini splits are, how intervals are made.
"use strict";

BE.miniNotice = (tasks) => {
  const mini = tasks.filter((task) => task.split === "mini");
  if (!mini.length) return null;
  const which = mini.length < tasks.length ? `Of the mini split: ${mini.map((task) => task.title).join(", ")}. ` : "Split mini. ";
  return BE.h("p", { class: "notice mini", dir: "auto" }, BE.h("strong", null, which),
    "The mini splits were written for this project: they show that everything runs, and measure nothing.");
};

// The first that fits explains how an error was made.
const METHODS = [
  ["stratified", "the mean over subsets, which are taken as they are; the error is that of the items within them, items that belong together counting as one cluster, with quantiles of t"],
  ["clustered", "the mean over items, of which those that belong together are one cluster, with quantiles of t"],
  ["wilson, seeds and items", "Wilson\u2019s interval of a share, as wide as other fine-tuning seeds and other items make it"],
  ["wilson", "Wilson\u2019s score interval of a share of independent items, which holds for few items and near 0 and 100"],
  ["jackknife, seeds and items", "t interval over other fine-tuning seeds and other items, leaving out an item at a time"],
  ["jackknife of words", "Fisher\u2019s z, its error by leaving out one word at a time, with quantiles of t"],
  ["jackknife", "t interval over other items, leaving out one at a time"],
  ["bonett-wright", "interval of a rank correlation by Fisher\u2019s z with the variance of Bonett and Wright (2000)"],
  ["bootstrap of sentences", "percentiles over samples of whole sentences, drawn with replacement"],
  ["none", "no interval is defined here"],
];
BE.methodText = (method) => (METHODS.find(([name]) => method.startsWith(name)) || [])[1] || null;

BE.method = (method) => BE.h("span", { title: BE.methodText(method) }, method);

// In words below a table: a title is not seen on a phone.
BE.methodNotes = (cells) => {
  const notes = [...new Set(cells.filter((cell) => BE.isNumber(cell.low)).map((cell) => cell.method))].map((method) => [method, BE.methodText(method)]);
  const known = notes.filter(([, text]) => text);
  return known.length ? BE.h("p", { class: "note methods" }, "Errors: ", known.map(([method, text], i) => [i ? "; " : null, BE.h("em", null, method), `: ${text}`]), ".") : null;
};
