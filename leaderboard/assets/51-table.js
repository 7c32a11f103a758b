// The overview's table: rows are made once for each protocol; sorting and filtering only move them. Rows are grids, for only so
// can the browser skip those out of sight (content-visibility): sorting 200 models would take it seconds. Hence the explicit roles.
"use strict";

BE.overviewTable = (columns, sortBy) => {
  const groups = BE.tableGroups(columns);
  const head = BE.tableHead(groups, sortBy);
  const body = BE.h("tbody", { role: "rowgroup" });
  const node = BE.h("table", { class: "scores", role: "table", "aria-label": "Scores with intervals; the buttons in the headers sort" }, head.node, body);
  const setTracks = (hiddenGroups) => {
    const items = groups.filter((group) => !hiddenGroups.has(group.key)).flatMap((group) => group.items);
    const scores = items.filter((item) => item.column).length;
    const rank = BE.models.length > 1 ? " var(--rank)" : "";  // one model has none
    node.style.setProperty("--tracks", `var(--model)${rank} ${items.map((item) => (item.column ? "minmax(var(--score), 1fr)" : "var(--macro)")).join(" ")}`);
    node.style.setProperty("--width", `calc(var(--model)${rank && " +"}${rank} + ${scores} * var(--score) + ${items.length - scores} * var(--macro))`);
  };
  setTracks(new Set());
  let rows = new Map();
  return {
    node,
    fill(protocol) {
      head.fill(protocol);
      rows = new Map(BE.models.map((model) => [model.id, BE.overviewRow(model, groups, protocol)]));
    },
    arrange(models, ranks, sort, direction) {
      models.forEach((model, i) => {
        const data = rows.get(model.id).children[1].firstChild;
        const value = BE.isNumber(ranks[i]) ? String(ranks[i]) : "";
        if (data.value === value && data.textContent) return;
        data.value = value;
        data.textContent = BE.fixed(ranks[i], 1);
      });
      body.replaceChildren(...models.map((model) => rows.get(model.id)));
      for (const [key, th] of head.cells) {
        if (key === sort) th.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        else th.removeAttribute("aria-sort");
      }
    },
    showGroups(hiddenGroups) {
      setTracks(hiddenGroups);
      const off = (element) => (element.hidden = hiddenGroups.has(element.dataset.group));
      node.querySelectorAll("[data-group]").forEach(off);
      for (const row of rows.values()) row.querySelectorAll("[data-group]").forEach(off);
    },
  };
};

// The table's head: groups over columns, whose heads say what the protocol's numbers are.
BE.tableHead = (groups, sortBy) => {
  const cells = new Map();
  const sortButton = (key, content, label) => BE.h("button", { type: "button", class: "sort", onclick: () => sortBy(key), title: label }, content,
    BE.h("span", { class: "arrow", "aria-hidden": "true" }));
  const cell = (key, attributes, ...children) => {
    const th = BE.h("th", { role: "columnheader", scope: "col", "data-key": key, ...attributes }, children);
    cells.set(key, th);
    return th;
  };
  const groupHead = (group) => {
    const size = group.items.length;
    const th = BE.h("th", { role: "columnheader", scope: "colgroup", colspan: size, "data-group": group.key }, group.title);
    th.style.gridColumn = `span ${size}`;
    return th;
  };
  const node = BE.h("thead", { role: "rowgroup" },
    BE.h("tr", { class: "groups", role: "row" },
      cell("model", { rowspan: 2, class: "sticky" }, sortButton("model", "Model")),
      cell("rank", { rowspan: 2, class: "rank", hidden: BE.models.length < 2 }, sortButton("rank", "Avg. rank")),
      groups.map(groupHead)),
    BE.h("tr", { role: "row" }, groups.map((group) => group.items.map((item, i) => cell(item.key, { "data-group": group.key, class: i ? null : "first" })))));
  const fill = (protocol) => {
    const mean = BE.isOfficial(protocol || BE.payload.protocol) ? "Official mean" : "Mean over the official list";
    for (const { key, column } of groups.flatMap((group) => group.items)) {
      const content = column ? BE.columnHead(BE.under(column, protocol), sortButton) : [sortButton(key, mean, "mean over the group's official list of tasks")];
      cells.get(key).replaceChildren(...content.filter(Boolean));
    }
  };
  return { node, cells, fill };
};

// Columns in groups, each begun by its official mean where a model has one under any protocol.
BE.tableGroups = (columns) => {
  const groups = new Map();
  for (const column of columns) {
    const { key, title } = column.group;
    if (!groups.has(key)) {
      groups.set(key, { key, title, items: BE.hasMeans(key) ? [{ key: `macro:${key}`, column: null }] : [] });
    }
    groups.get(key).items.push({ key: column.key, column });
  }
  return [...groups.values()];
};

BE.columnHead = (column, sortButton) => [
  sortButton(column.key, BE.name(column.title), column.task.about),
  BE.h("span", { class: "sub" },
    BE.link(BE.taskHash(column.task), "about", BE.hidden(` ${column.title}`)),
    ` \u00b7 ${BE.metricName(column.task.metric)}`, BE.cells(column).length ? ` \u00b7 n\u00a0${column.items}` : ` \u00b7 no scores under ${column.protocol}`),
  BE.h("span", { class: "sub" }, BE.payload.split === column.task.split ? null : `split\u00a0${column.task.split} \u00b7 `,
    column.chanceText ? `chance\u00a0${column.chanceText}` : "no chance level"),
  column.mixed ? BE.h("strong", { class: "sub warn" }, "\u26a0 not alike") : null,
  column.higher ? null : BE.h("span", { class: "sub" }, "lower is better"),
  column.even && !column.mixed ? BE.h("span", { class: "sub" }, "no clear best") : null,
  column.untested ? BE.h("span", { class: "sub", title: "Not every model could be tested against the best: compare two, or see the command" }, "best not tested") : null,
];

const METRICS = { accuracy: "accuracy", f1: "F1", spearman: "Spearman\u2019s \u03c1", spearman_rho: "Spearman\u2019s \u03c1",
  pearson: "Pearson\u2019s r", pearson_r: "Pearson\u2019s r", partial_r2: "partial R\u00b2" };
BE.metricName = (metric) => METRICS[metric] || metric.replace(/_/g, " ");

BE.overviewRow = (model, groups, protocol) =>
  BE.h("tr", { role: "row", "data-model": model.id },
    BE.h("th", { role: "rowheader", scope: "row", class: "sticky" }, BE.modelLink(model), BE.h("span", { class: "sub" }, BE.modelFacts(model))),
    BE.h("td", { role: "cell", class: "rank", hidden: BE.models.length < 2 }, BE.data(null, "")),
    groups.map((group) => group.items.map((item, i) => {
      const cell = item.column ? BE.scoreCell(BE.under(item.column, protocol), model) : BE.macroCell(group.key, model, protocol);
      cell.setAttribute("role", "cell");
      cell.dataset.group = group.key;
      cell.dataset.key = item.key;
      if (!i) cell.classList.add("first");
      return cell;
    })));

BE.modelFacts = (model) => [
  model.revision !== "main" && !model.label.includes(model.revision) ? model.revision : null,
  model.kind,
  BE.isNumber(model.parameters) ? BE.short(model.parameters) : null,
  model.condition && !model.label.includes(model.condition) ? model.condition : null,
  BE.isNumber(model.words_seen) ? `${BE.short(model.words_seen)} words` : null,
  model.notes.length || model.imported ? "see remarks" : null,
].filter(Boolean).join(" \u00b7 ");

BE.scoreCell = (column, model) => {
  const cell = BE.cell(column, model);
  if (!cell || !BE.isNumber(cell.value)) {
    const why = column.protocol ? `no number under ${column.protocol}` : cell ? cell.note || cell.status : "no result";
    const failed = cell && !column.protocol;
    return BE.h("td", { class: "none", title: cell || column.protocol ? why : null }, BE.data(null, failed ? "n/a" : "\u2013"), BE.hidden(why));
  }
  return BE.h("td", { class: BE.isBest(column, model) ? "num best" : null, title: BE.cellTitle(column, cell) },
    BE.bestMark(column, model), BE.data(cell.value, BE.fixed(cell.value, column.digits)), column.protocol ? BE.unlikeMark(column.mixed) : null, " ",
    BE.h("span", { class: "ci" }, BE.range(cell.low, cell.high, column.digits) || "no interval"),
    BE.whisker(column, cell));
};

BE.bestMark = (column, model) =>
  (BE.isBest(column, model) ? [BE.h("span", { class: "dot", "aria-hidden": "true" }, "\u25CF"), BE.hidden("among the best: ")] : null);

BE.unlikeMark = (unlike) => (unlike ? BE.h("span", { class: "warn" }, " \u26a0", BE.hidden("not measured alike")) : null);

BE.cellTitle = (column, cell) => [
  column.protocol && column.mixed ? `not measured alike: ${column.mixed}` : null,
  `n = ${cell.n}`,
  BE.isNumber(cell.se) ? `SE ${BE.fixed(cell.se, column.unit.fine)} (${cell.method})` : null,
  BE.isNumber(cell.chance) ? `chance ${BE.chance(cell.chance, column.digits)}` : null,
  cell.fit ? `${BE.plural(cell.fit.seeds.length, "seed")}, ${cell.fit.diverged} diverged, ${cell.fit.constant} constant` : null,
  cell.note,
].filter(Boolean).join("; ");

BE.macroCell = (group, model, protocol) => {
  const value = BE.macro(group, model, protocol);
  if (BE.isNumber(value)) return BE.h("td", { class: "macro" }, BE.data(value, BE.fixed(value, 1)));
  const missing = protocol ? [] : ((BE.payload.macro[group] || {})[model.id] || { missing: [] }).missing;
  const why = missing.length ? `lacks ${missing.join(", ")}` : protocol && !BE.isOfficial(protocol) ? `no mean under ${protocol} on this page` : "not complete";
  return BE.h("td", { class: "macro none", title: why }, BE.data(null, "\u2013"), BE.hidden(why));
};
