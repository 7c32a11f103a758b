// A task's page: what it measures, how each protocol scores it, all models on it, its subsets and learning curves.
"use strict";

BE.views.tasks = () => ({
  title: "Tasks",
  node: BE.h("div", { class: "view" }, BE.h("h1", { tabindex: "-1" }, "Tasks"),
    BE.scroller("Tasks", BE.h("table", { class: "plain" }, BE.h("caption", { class: "hidden" }, "All tasks of this page"),
      BE.h("thead", null, BE.headRow(["Task", "Group", "What it measures", "Split", "Number", ["Chance", "num"], ["Items", "num"]])),
      BE.h("tbody", null, BE.columns.map((column) => BE.h("tr", null,
        BE.h("th", { scope: "row" }, BE.taskLink(column)), BE.h("td", null, column.group.title), BE.h("td", { class: "about" }, column.task.about),
        BE.h("td", null, column.task.split),
        BE.h("td", null, BE.metricName(column.task.metric)), BE.h("td", { class: "num" }, column.chanceText || "\u2013"),
        BE.h("td", { class: "num" }, column.items))))))),
});

BE.views.task = (query, id) => {
  const task = BE.payload.tasks.find((entry) => entry.id === id);
  if (!task) return { title: "No such task", node: BE.notice("No such task", `This page has no task named ${id}.`) };
  const columns = BE.columns.filter((column) => column.task === task);
  const told = (of) => {  // once, or of each part
    const texts = columns.map(of);
    return new Set(texts).size === 1 ? texts[0] : columns.map((column, i) => `${texts[i]} (${column.headline.subset.replace(/_/g, " ")})`).join("; ");
  };
  const node = BE.h("div", { class: "view task" },
    BE.h("h1", { tabindex: "-1" }, BE.name(task.title)),
    BE.h("p", { class: "lead", dir: "auto" }, task.about),
    BE.facts([
      ["Number", `${BE.metricName(task.metric)}, ${BE.unit(task.unit).name}${task.higher_is_better ? "" : ", lower is better"}`],
      ["Chance", told((column) => column.chanceText || "none")], ["Items", told((column) => column.items)],
      ["Subsets", task.strata.length || "none"], ["Split", task.split], ["Version", task.version],
      ["Source", [task.citation, /^https?:\/\//.test(task.homepage) ? [" ", BE.h("a", { href: task.homepage, rel: "noreferrer" }, "Home page")] : null]],
      ["Two models", task.test === "subsets" ? "compared by t over subset means" : ((BE.payload.pairs[columns[0].key] || {}).test || "no test on this page")],
    ]),
    BE.miniNotice([task]),
    columns[0].mixed ? BE.h("p", { class: "notice" }, `Not measured alike: ${columns[0].mixed}.`) : null,
    Object.entries(BE.payload.mixed_official[columns[0].key] || {}).map(([name, reason]) => BE.h("p", { class: "notice" }, `Not measured alike under ${name}: ${reason}.`)),
    BE.protocolList(task),
    columns.map((column) => BE.taskScores(column, columns.length > 1)),
    columns.map((column) => BE.curves(column)),
    task.family === "reading" ? BE.figure(task.id) : null,
    task.strata.length ? BE.strataChart(columns[0]) : null);
  return { title: task.title, node };
};

// Undefined facts are left out.
BE.facts = (pairs) => BE.h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
  .map(([key, value]) => BE.h("div", null, BE.h("dt", null, key), BE.h("dd", { dir: "auto" }, value))));

BE.protocolList = (task) => {
  const names = Object.keys(task.protocols);
  if (!names.length) return null;
  return BE.h("section", null, BE.h("h2", null, "How protocols score it"), BE.h("dl", { class: "protocols" },
    names.map((name) => BE.h("div", { class: name === BE.payload.protocol ? "current" : null },
      BE.h("dt", null, name, name === BE.payload.protocol ? " (this page)" : null), BE.h("dd", null, task.protocols[name])))));
};

// Corrected and official numbers side by side.
BE.taskScores = (column, several) => {
  const models = BE.models.filter((model) => BE.cell(column, model));
  const values = models.map((model) => BE.value(column, model));
  const order = models.map((_, i) => i).sort((x, y) => BE.compareValues(values[x], values[y], column.higher ? -1 : 1) || x - y);
  const names = (field) => [...new Set(BE.cells(column).flatMap((cell) => Object.keys(cell[field] || {})))].sort();
  const [variants, officials] = [names("variants"), names("official")];
  const domain = BE.padded(column.domain);
  return BE.h("section", null, BE.h("h2", null, several ? BE.name(column.title) : "Models"),
    BE.scroller(`${column.title}: models`, BE.h("table", { class: "plain" },
      BE.h("caption", { class: "hidden" }, `${column.title}: ${BE.payload.protocol} beside other protocols`),
      BE.h("thead", null, BE.h("tr", null, BE.h("th", { scope: "col" }, "Model"), BE.h("th", { scope: "col", class: "num" }, BE.payload.protocol),
        BE.h("th", { scope: "col" }, "95% interval ", BE.axis(domain, column.unit.name)),
        [...officials, ...variants].map((name) => BE.h("th", { scope: "col", class: "num" }, name.replace(/_/g, " "))),
        BE.h("th", { scope: "col", class: "num" }, "n"), BE.h("th", { scope: "col" }, "Error"))),
      BE.h("tbody", null, order.map((i) => BE.taskRow(column, models[i], domain, officials, variants))))),
    BE.methodNotes(BE.cells(column)));
};

BE.taskRow = (column, model, domain, officials, variants) => {
  const cell = BE.cell(column, model);
  const change = (value) => (BE.isNumber(value) && BE.isNumber(cell.value) ? BE.h("span", { class: "sub" }, BE.signed(value - cell.value, column.digits)) : null);
  const variant = (name) => {
    const value = (cell.variants || {})[name];
    return BE.h("td", { class: "num" }, BE.data(value, BE.fixed(value, column.digits)), name.endsWith(")") ? null : change(value));  // another unit stands in brackets
  };
  const official = (name) => {
    const under = BE.under(column, name);
    const other = BE.cell(under, model) || {};
    return BE.h("td", { class: "num", title: BE.isNumber(other.value) ? BE.cellTitle(under, other) : null }, BE.data(other.value, BE.fixed(other.value, under.digits)),
      BE.isNumber(other.value) ? [BE.unlikeMark(under.mixed), BE.h("span", { class: "ci other" }, BE.range(other.low, other.high, under.digits) || "no interval")] : null,
      under.mixed ? null : change(other.value));
  };
  return BE.h("tr", null, BE.h("th", { scope: "row" }, BE.modelLink(model)),
    BE.h("td", { class: BE.isBest(column, model) ? "num best" : "num" }, BE.bestMark(column, model),
      BE.data(cell.value, BE.isNumber(cell.value) ? BE.fixed(cell.value, column.digits) : "n/a")),
    BE.h("td", { class: "plot" }, BE.isNumber(cell.value) ? BE.dots(domain, [{ ...cell, series: 0 }], column.chance) : null,
      BE.h("span", { class: "ci" }, BE.range(cell.low, cell.high, column.digits))),
    officials.map(official), variants.map(variant),
    BE.h("td", { class: "num" }, BE.count(cell.n)),
    BE.h("td", { class: "test" }, BE.method(cell.method), cell.note ? BE.h("span", { class: "sub" }, cell.note) : null, cell.fit ? BE.h("span", { class: "sub" }, BE.fitText(cell.fit, column)) : null));
};

BE.fitText = (fit, column) => [
  `${BE.plural(fit.seeds.length, "seed")}: ${fit.seeds.map((seed) => (seed.diverged ? "diverged" : BE.fixed(seed.value, column.digits))).join(", ")}`,
  BE.isNumber(fit.sd) ? `SD ${BE.fixed(fit.sd, column.digits)}` : null,
  fit.diverged ? `${fit.diverged} diverged` : null,
  fit.constant ? `${fit.constant} give one label for all` : null,
  BE.isNumber(fit.majority) ? `majority ${BE.fixed(fit.majority, column.digits)}` : null,
  BE.isNumber(fit.mde) ? `MDE ${BE.fixed(fit.mde, column.digits)}` : null,
].filter(Boolean).join("; ");

BE.curves = (column) => {
  const lines = BE.payload.curves[column.key];
  if (!lines || !lines.length) return null;
  return BE.h("section", null, BE.h("h2", null, "While learning"), BE.figure(`curve:${column.key}`),
    lines.map((line) => BE.h("details", null, BE.h("summary", null, BE.name(line.line), `: ${BE.plural(line.points.length, "checkpoint")}`),
      BE.scroller(`${column.title} of ${line.line}`, BE.h("table", { class: "plain" },
        BE.h("thead", null, BE.headRow(["Checkpoint", ["Words seen", "num"], ["Score", "num"], "95% interval"])),
        BE.h("tbody", null, line.points.map((point) => {
          const model = BE.modelById.get(String(point.model));
          return BE.h("tr", null, BE.h("th", { scope: "row" }, model ? BE.link(BE.modelHash(model), BE.name(point.revision)) : BE.name(point.revision)),
            BE.h("td", { class: "num" }, BE.count(point.words)), BE.h("td", { class: "num" }, BE.data(point.value, BE.fixed(point.value, column.digits))),
            BE.h("td", null, BE.range(point.low, point.high, column.digits)));
        })))))));
};

// Subsets as rows, the chosen models as points on one axis, their numbers beside.
BE.strataChart = (column) => {
  const models = BE.models.filter((model) => (BE.cell(column, model) || {}).strata);
  if (!models.length) return null;
  const byValue = [...models].sort((x, y) => BE.compareValues(BE.value(column, x), BE.value(column, y), column.higher ? -1 : 1));
  let chosen = byValue.slice(0, 3);
  const holder = BE.h("div");
  const chips = BE.h("div", { class: "chips" });
  const redraw = () => {
    chips.replaceChildren(...chosen.map((model, i) => BE.h("span", { class: "chip" }, BE.key(i), BE.name(model.label),
      chosen.length > 1 ? BE.h("button", { type: "button", "aria-label": `Remove ${model.label}`, onclick: () => { chosen = chosen.filter((other) => other !== model); redraw(); } }, "\u00d7") : null)));
    holder.replaceChildren(BE.strataTable(column, chosen));
  };
  const add = (event) => {
    const model = BE.modelById.get(event.target.value);
    if (model && !chosen.includes(model)) chosen = [...chosen, model].slice(-BE.SERIES);
    event.target.value = "";
    redraw();
  };
  redraw();
  return BE.h("section", { class: "strata" }, BE.h("h2", null, "By subset"),
    BE.h("div", { class: "filters" }, chips, models.length > 1 ? BE.select("strata-add", `Add a model (up to ${BE.SERIES})`,
      [["", "\u2013"], ...byValue.map((model) => [model.id, model.label])], "", add) : null), holder);
};

BE.strataTable = (column, chosen) => {
  const parts = chosen.map((model) => BE.cell(column, model).strata);
  const all = parts.flatMap((part) => [...part.value, ...part.low, ...part.high]).filter(BE.isNumber);
  if (BE.isNumber(column.chance)) all.push(column.chance);
  const domain = BE.padded([Math.min(...all), Math.max(...all)]);
  const point = (part, i, series) => ({ value: part.value[i], low: part.low[i], high: part.high[i], series });
  return BE.scroller(`${column.title} by subset`, BE.h("table", { class: "plain strata" },
    BE.h("caption", { class: "hidden" }, `${column.title} by subset`),
    BE.h("thead", null, BE.h("tr", null, BE.h("th", { scope: "col" }, "Subset"), BE.h("th", { scope: "col" }, "95% intervals", BE.axis(domain, column.unit.name)),
      chosen.map((model, series) => BE.h("th", { scope: "col", class: "num" }, BE.key(series), " ", BE.name(model.label))), BE.h("th", { scope: "col", class: "num" }, "n"))),
    BE.h("tbody", null, column.task.strata.map((name, i) => BE.h("tr", null, BE.h("th", { scope: "row", class: "mono" }, BE.name(name)),
      BE.h("td", { class: "plot" }, BE.dots(domain, parts.map((part, series) => point(part, i, series)), column.chance)),
      parts.map((part) => BE.h("td", { class: "num" }, BE.data(part.value[i], BE.fixed(part.value[i], 1)), BE.h("span", { class: "sub" }, BE.range(part.low[i], part.high[i], 1)))),
      BE.h("td", { class: "num" }, BE.count(Math.max(...parts.map((part) => BE.stratumSize(column, part, i) || 0)))))))));
};
