// A model's page: what it is, how it was trained and run, and all its numbers with what they mean.
"use strict";

BE.views.model = (query, id) => {
  const model = BE.modelById.get(id);
  if (!model) return { title: "No such model", node: BE.notice("No such model", "This page has no such model: the link may be of an earlier page.") };
  const others = BE.models.filter((other) => other !== model);
  const node = BE.h("div", { class: "view model" },
    BE.h("h1", { tabindex: "-1" }, BE.name(model.label)),
    model.notes.length ? BE.h("ul", { class: "notice" }, model.notes.map((note) => BE.h("li", { dir: "auto" }, note))) : null,
    BE.facts([
      ["Name", BE.name(model.name)], ["Revision", BE.name(model.revision)], ["Family", model.kind],
      ["Scored as", model.backend === model.kind ? null : model.backend],
      ["Parameters", BE.isNumber(model.parameters) ? `${BE.count(model.parameters)} (${BE.short(model.parameters)})` : null],
      ["Words seen", BE.isNumber(model.words_seen) ? BE.count(model.words_seen) : null],
      ["Condition", model.condition ? BE.name(model.condition) : null], ["Training seed", model.train_seed],
      ["Source", BE.name(model.source)], ["Imported from", model.imported ? BE.name(model.imported) : null],
      ["Official means", BE.officialMeans(model)],
    ]),
    BE.miniNotice(BE.columns.filter((column) => BE.cell(column, model)).map((column) => column.task).filter((task, i, all) => all.indexOf(task) === i)),
    others.length ? BE.h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      BE.select("compare-with", "Compare with", [["", "choose a model"], ...others.map((other) => [other.id, other.label])], "",
        (event) => { if (event.target.value) location.hash = `#/compare?a=${model.id}&b=${event.target.value}`; })) : null,
    BE.modelScores(model),
    BE.h("section", null, BE.h("h2", null, "Digests"), BE.facts([
      ["Checkpoint", BE.digest(model.digest)], ["Weights", BE.digest(model.weights)], ["Trained from", BE.digest(model.parent_digest)],
    ])),
    BE.nested("Recipe", model.recipe), BE.nested("Environment", model.environment), BE.timing(model.timing));
  return { title: model.label, node };
};

BE.digest = (text) => (text ? BE.h("code", { class: "digest" }, text) : null);

BE.officialMeans = (model) => {
  const parts = Object.entries(model.official || {}).filter(([protocol]) => BE.isOfficial(protocol)).flatMap(([protocol, groups]) =>
    Object.entries(groups).filter(([, value]) => BE.isNumber(value)).map(([group, value]) => `${protocol}, ${group}: ${BE.fixed(value, 2)}`));
  return parts.length ? parts.join("; ") : null;
};

BE.modelScores = (model) => {
  const columns = BE.columns.filter((column) => BE.cell(column, model));
  if (!columns.length) return BE.h("p", { class: "notice" }, "No scores of this model are on this page.");
  const ranked = BE.models.length > 1;
  const rank = (column) => {
    const models = BE.models.filter((other) => BE.value(column, other) !== null);
    if (column.mixed || models.length < 2 || !models.includes(model)) return "\u2013";
    const ranks = BE.stats.ranks(models.map((other) => BE.value(column, other)), column.higher);
    return `${Number(ranks[models.indexOf(model)])} of ${models.length}`;
  };
  const row = (column) => {
    const cell = BE.cell(column, model);
    return BE.h("tr", { "data-column": column.key }, BE.h("th", { scope: "row" }, BE.taskLink(column)), BE.h("td", null, column.group.title),
      BE.h("td", { class: BE.isBest(column, model) ? "num best" : "num" }, BE.bestMark(column, model),
        BE.data(cell.value, BE.isNumber(cell.value) ? BE.fixed(cell.value, column.digits) : "n/a")),
      BE.h("td", { class: "plot narrow" }, BE.isNumber(cell.value) ? BE.whisker(column, cell) : null),
      BE.h("td", { class: "num" }, BE.range(cell.low, cell.high, column.digits)),
      BE.h("td", { class: "num" }, BE.chance(cell.chance, column.digits)),
      BE.h("td", { class: "num" }, BE.count(cell.n)), ranked ? BE.h("td", { class: "num" }, rank(column)) : null,
      BE.h("td", { class: "test" }, BE.method(cell.method), cell.note ? BE.h("span", { class: "sub" }, cell.note) : null, cell.fit ? BE.h("span", { class: "sub" }, BE.fitText(cell.fit, column)) : null));
  };
  return BE.h("section", null, BE.h("h2", null, "Scores"), BE.scroller("Scores", BE.h("table", { class: "plain" },
    BE.h("caption", { class: "hidden" }, `Scores of ${model.label}`),
    BE.h("thead", null, BE.headRow(["Task", "Group", ["Score", "num"], "On the column\u2019s range", ["95% interval", "num"], ["Chance", "num"], ["n", "num"], ...(ranked ? [["Rank", "num"]] : []), "Error"])),
    BE.h("tbody", null, columns.map(row)))), BE.methodNotes(columns.map((column) => BE.cell(column, model))));
};

// A recipe or an environment: tables in tables, as TOML has them.
BE.nested = (title, object) => {
  if (!object || !Object.keys(object).length) return null;
  const simple = (value) => value === null || typeof value !== "object" || (Array.isArray(value) && value.every((part) => part === null || typeof part !== "object"));
  const write = (value) => (Array.isArray(value) && value.length ? value.join(", ") : value === null || typeof value === "object" ? "\u2013" : String(value));
  // What is simple comes first: after a table in the table it would seem to belong to it.
  const ordered = (entries) => Object.entries(entries).sort(([, a], [, b]) => simple(b) - simple(a));
  const list = (entries) => BE.h("dl", { class: "facts tight" }, ordered(entries).map(([key, value]) => BE.h("div", { class: simple(value) ? null : "deep" }, BE.h("dt", null, BE.name(key)),
    simple(value) ? BE.h("dd", { dir: "auto" }, write(value)) : BE.h("dd", null, Array.isArray(value) ? BE.h("code", null, JSON.stringify(value)) : list(value)))));
  return BE.h("section", null, BE.h("h2", null, title), list(object));
};

// Rows that came from the cache took no time: the seconds are then not what scoring costs.
BE.timing = ({ seconds, rows_computed: made, rows_cached: cached, fine_tuning_seconds: fits }) => {
  const rows = (made || 0) + (cached || 0);
  const facts = [
    ["Scoring", BE.isNumber(seconds) ? [BE.seconds(seconds), cached ? BE.h("span", { class: "sub" }, made
      ? `${BE.count(cached)} of ${BE.count(rows)} rows came from the cache: scoring them all takes longer`
      : `all ${BE.count(rows)} rows came from the cache: not what scoring takes`) : null] : null],
    ["Rows", rows ? BE.count(rows) : null], ["Fine-tuning", BE.isNumber(fits) ? BE.seconds(fits) : null],
  ];
  return facts.some(([, value]) => value !== null) ? BE.h("section", null, BE.h("h2", null, "Timing"), BE.facts(facts)) : null;
};
