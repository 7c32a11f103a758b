// Training conditions: z-scores for display, effects with their tests, and every seed as a point.
"use strict";

BE.views.conditions = () => {
  const conditions = BE.payload.conditions;
  if (!conditions || conditions.names.length < 2) {
    return {
      title: "Conditions",
      node: BE.notice("Conditions", "A comparison of conditions takes at least two, each of a recipe's name: checkpoints of babyeval train carry theirs, " +
        "others get one by babyeval run --condition. Conditions with several training seeds can be tested; with one seed they can only be shown."),
    };
  }
  const node = BE.h("div", { class: "view conditions" },
    BE.h("h1", { tabindex: "-1" }, "Conditions"),
    BE.h("p", { class: "lead" }, conditions.names.map((name, i) => [i ? ", " : null, BE.h("strong", null, BE.name(name)),
      ` (${BE.plural((conditions.models[name] || []).length, "model")})`])),
    BE.miniNotice(BE.payload.tasks),
    conditions.notes.length ? BE.h("ul", { class: "notice" }, conditions.notes.map((note) => BE.h("li", { dir: "auto" }, note))) : null,
    BE.figure("zscores"),
    conditions.z ? BE.zTables(conditions) : null,
    BE.effects(conditions), BE.seedPoints(conditions));
  return { title: "Conditions", node };
};

const titleOf = (key) => {
  const column = BE.columnByKey.get(key);
  return column ? BE.taskLink(column) : BE.name(key);
};

BE.zTables = ({ z, names }) => {
  const group = (key) => (BE.payload.groups.find((entry) => entry.key === key) || { title: key === "all" ? "All" : key }).title;
  return BE.h("section", null, BE.h("h2", null, "z-scores"),
    BE.h("p", { class: "note" }, `Each column is standardised over the ${z.k} conditions (standard deviation with ddof ${z.ddof}), higher being better. `,
      BE.isNumber(z.bound) ? `No |z| can exceed ${z.bound.toFixed(2)} with so many: a scale for display, not a test.` : null),
    BE.scroller("Medians of z-scores", BE.h("table", { class: "plain" }, BE.h("caption", null, "Median and quartiles over families of tasks"),
      BE.h("thead", null, BE.headRow(["Condition", ...Object.keys(z.summary).map((key) => [group(key), "num"])])),
      BE.h("tbody", null, names.map((name) => BE.h("tr", null, BE.h("th", { scope: "row" }, BE.name(name)),
        Object.values(z.summary).map((spreads) => {
          const spread = spreads[name];
          if (!spread) return BE.h("td", { class: "num" }, "\u2013");
          return BE.h("td", { class: "num" }, BE.data(spread.median, BE.signed(spread.median, 2)),
            BE.h("span", { class: "sub" }, `${BE.range(spread.q1, spread.q3, 2)}, ${spread.n === 1 ? "1 family" : `${spread.n} families`}`));
        })))))),
    BE.scroller("z-scores by column", BE.h("table", { class: "plain" }, BE.h("caption", null, "By column"),
      BE.h("thead", null, BE.headRow(["Column", ...names.map((name) => [BE.name(name), "num"]), "Remark"])),
      BE.h("tbody", null, [...new Set([...Object.keys(z.values), ...Object.keys(z.uninformative)])].map((key) => BE.h("tr", null,
        BE.h("th", { scope: "row" }, titleOf(key)),
        names.map((name) => {
          const value = (z.values[key] || {})[name];
          return BE.h("td", { class: "num" }, BE.data(value, BE.signed(value, 2)));
        }),
        BE.h("td", { class: "note" }, z.uninformative[key] ? `left out: ${z.uninformative[key]}` : null)))))));
};

// A remark that all rows share is made once.
const commonNote = (rows) => (rows.length > 1 && rows.every((row) => row.note === rows[0].note) ? rows[0].note : null);

BE.effects = ({ effects, correction }) => {
  if (!effects.length) return null;
  const pairs = [...new Set(effects.map((effect) => JSON.stringify([effect.contrast, effect.a, effect.b])))].map((text) => JSON.parse(text));
  return BE.h("section", null, BE.h("h2", null, "Effects"),
    BE.h("p", { class: "note" }, "What was replicated is training, by its seeds or the checkpoints it goes on from. ", correction ? `p-values are adjusted: ${correction}. ` : null,
      "With fewer than four in any condition, or so few that exchanging them could not give p < 0.05, there is no verdict: a small p would rest on normality alone."),
    pairs.map(([contrast, a, b], i) => {
      const rows = effects.filter((effect) => effect.contrast === contrast && effect.a === a && effect.b === b);
      return BE.h("details", { open: i < 3 }, BE.h("summary", null, contrast ? [BE.h("strong", null, "Planned: ", BE.name(contrast)), " \u00b7 "] : null, BE.name(a), " minus ", BE.name(b)),
        BE.scroller(`${a} minus ${b}`, BE.effectTable(rows)), commonNote(rows) ? BE.h("p", { class: "note" }, `All rows: ${commonNote(rows)}.`) : null);
    }));
};

const EFFECTS = { won: "better", lost: "worse", open: "not told apart", none: "no test" };

BE.effectTable = (rows) => {
  const largest = {};
  const unitOf = (row) => (BE.columnByKey.get(row.column) || { unit: BE.unit("") }).unit;
  for (const row of rows) {
    const size = Math.max(0, ...[row.difference, row.low, row.high].filter(BE.isNumber).map(Math.abs));
    largest[unitOf(row).name] = Math.max(largest[unitOf(row).name] || 0, size);
  }
  return BE.h("table", { class: "plain compare" },
    BE.h("thead", null, BE.headRow(["Column", ["Difference", "num"], "Interval", ["p", "num"], ["p, adjusted", "num"], ["least p by exchange", "num"], "Verdict", ["MDE", "num"], "Test"])),
    BE.h("tbody", null, rows.map((row) => {
      const unit = unitOf(row);
      const scale = largest[unit.name] || 1;
      const higher = (BE.columnByKey.get(row.column) || { higher: true }).higher;
      const small = BE.isNumber(row.p_adjusted) && row.p_adjusted < SMALL;
      const few = BE.isNumber(row.p_adjusted) && !row.verdict;
      const verdict = !row.verdict ? "none" : !small ? "open" : row.difference > 0 === higher ? "won" : "lost";
      return BE.h("tr", null, BE.h("th", { scope: "row" }, titleOf(row.column)),
        BE.h("td", { class: "num" }, BE.data(row.difference, BE.signed(row.difference, unit.fine))),
        BE.h("td", { class: "plot" }, BE.difference([-scale, scale], row, verdict), BE.h("span", { class: "ci" }, BE.range(row.low, row.high, unit.fine))),
        [row.p, row.p_adjusted, row.smallest_p].map((p) => BE.h("td", { class: "num" }, BE.data(p, BE.pValue(p)))),
        BE.h("td", null, BE.h("span", { class: `verdict ${verdict}` }, few ? "too few seeds" : EFFECTS[verdict])),
        BE.h("td", { class: "num" }, BE.data(row.mde, BE.fixed(row.mde, unit.fine))),
        BE.h("td", { class: "test" }, `${row.test}, ${row.arms ? `${row.arms.join(" against ")} ${row.unit}` : `${row.clusters} ${row.unit}`}`, row.note && !commonNote(rows) ? BE.h("span", { class: "sub" }, row.note) : null));
    })));
};

BE.seedPoints = ({ values, names }) => {
  const keys = Object.keys(values).filter((key) => BE.columnByKey.has(key));
  return BE.h("section", null, BE.h("h2", null, "Seeds"),
    BE.h("p", { class: "note" }, "Each point is a model. The tick is the mean over replications, and means and standard deviations are those of effects: over training seeds, ",
      "or over the checkpoints that several models go on from, averaged within each."),
    BE.h("div", { class: "multiples" }, keys.map((key) => {
      const column = BE.columnByKey.get(key);
      const cells = names.map((name) => values[key][name]);
      const all = cells.flatMap((cell) => (cell ? cell.points.map((point) => point.value) : [])).filter(BE.isNumber);
      if (!all.length) return null;
      const domain = BE.padded([Math.min(...all), Math.max(...all)], 0.08);
      return BE.scroller(`Seeds on ${column.title}`, BE.h("table", { class: "plain strips" }, BE.h("caption", null, BE.taskLink(column)),
        BE.h("thead", null, BE.h("tr", null, BE.h("th", { scope: "col" }, "Condition"),
          BE.h("th", { scope: "col" }, BE.axis(domain, column.unit.name, BE.STRIP)), BE.h("th", { scope: "col", class: "num" }, "Mean"))),
        BE.h("tbody", null, names.map((name, i) => BE.h("tr", null, BE.h("th", { scope: "row" }, BE.name(name)),
          BE.h("td", { class: "plot" }, cells[i] ? BE.strip(domain, cells[i].points.map((point) => point.value), cells[i].mean, i % BE.SERIES) : null),
          BE.h("td", { class: "num" }, cells[i] ? [BE.data(cells[i].mean, BE.fixed(cells[i].mean, column.digits)),
            BE.h("span", { class: "sub" }, BE.isNumber(cells[i].sd) ? `SD ${BE.fixed(cells[i].sd, column.digits)}` : cells[i].units ? "one replication" : null)] : "\u2013"))))));
    })),
    BE.payload.figures.effects ? BE.h("details", null, BE.h("summary", null, "The same as one figure"), BE.figure("effects")) : null);
};
