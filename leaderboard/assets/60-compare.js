// Two models compared: a test per column, adjusted over all of them, and the sentences for a paper.
"use strict";

const SMALL = 0.05;

BE.views.compare = (query) => {
  if (BE.models.length < 2) return { title: "Compare", node: BE.notice("Compare two models", "There is one model here; a comparison takes two.") };
  const a = BE.modelById.get(query.get("a")) || BE.models[0];
  const b = BE.modelById.get(query.get("b")) || BE.models.find((model) => model !== a);
  const go = (first, second) => (location.hash = `#/compare?a=${first}&b=${second}`);
  const options = BE.models.map((model) => [model.id, model.label]);
  const chooser = BE.h("form", { class: "filters", "aria-label": "Which two", onsubmit: (event) => event.preventDefault() },
    BE.select("compare-a", "Model A", options, a.id, (event) => go(event.target.value, b.id)),
    BE.h("button", { type: "button", class: "swap", onclick: () => go(b.id, a.id) }, BE.h("span", { "aria-hidden": "true" }, "\u21c4"), " Swap"),
    BE.select("compare-b", "Model B", options, b.id, (event) => go(a.id, event.target.value)));
  const node = BE.h("div", { class: "view compare" },
    BE.h("h1", { tabindex: "-1" }, BE.name(a.label), " against ", BE.name(b.label)), chooser,
    a === b ? BE.h("p", { class: "notice" }, "These are the same model. Choose another one.") : BE.comparison(a, b));
  return { title: `${a.label} against ${b.label}`, node };
};

BE.notice = (title, text) => BE.h("div", { class: "view" }, BE.h("h1", { tabindex: "-1" }, title), BE.h("p", { class: "notice" }, text));

// All columns that one of the two has, with p-values adjusted over those that have one.
BE.compareRows = (a, b) => {
  const rows = BE.columns.filter((column) => BE.cell(column, a) || BE.cell(column, b)).map((column) => ({ column, ...BE.pair(column, a, b) }));
  BE.stats.holm(rows.map((row) => row.p)).forEach((p, i) => (rows[i].adjusted = p));
  for (const row of rows) row.verdict = verdict(row);
  return rows;
};

function verdict(row) {
  if (!BE.isNumber(row.adjusted)) return "none";
  if (row.adjusted >= SMALL) return "open";
  return row.difference > 0 === row.column.higher ? "won" : "lost";
}

const VERDICTS = { won: "A better", lost: "B better", open: "not told apart", none: "no test" };

BE.comparison = (a, b) => {
  const rows = BE.compareRows(a, b);
  const tests = rows.filter((row) => BE.isNumber(row.p)).length;
  const count = (name) => rows.filter((row) => row.verdict === name).length;
  return [
    BE.h("p", { class: "lead" }, `Of ${BE.plural(tests, "test")}, `, BE.h("strong", { class: "won" }, `A is better in ${count("won")}`), ", ",
      BE.h("strong", { class: "lost" }, `B in ${count("lost")}`), `; ${count("open")} are not told apart (5%, Holm over the ${tests} of this page); protocol ${BE.payload.protocol}.`),
    BE.miniNotice(BE.payload.tasks),
    BE.scroller("Differences by task", compareTable(a, b, rows, tests), "wide"),
    BE.h("p", { class: "note" }, "MDE: the least true difference that this test finds with 80% power at the unadjusted 5% level, given where the two are not told apart. ",
      "W\u2013L\u2013T: subsets in which A wins, loses, ties; items, where a task has one subset. Intervals are 95% each, not adjusted."),
    BE.paper(a, b, rows, tests),
    BE.subsets(a, b, rows),
  ];
};

// The unit and the digits of a difference, which need not be the values'.
const unitOf = (row) => row.other || row.column.unit;
const digitsOf = (row) => (row.other ? row.other.fine : Math.max(row.column.digits, row.column.unit.fine));

function compareTable(a, b, rows, tests) {
  const domains = {};
  for (const row of rows) {
    const size = Math.max(...[row.difference, row.low, row.high].filter(BE.isNumber).map(Math.abs), 0);
    domains[unitOf(row).name] = Math.max(domains[unitOf(row).name] || 0, size);
  }
  return BE.h("table", { class: "plain compare" },
    BE.h("caption", { class: "hidden" }, `Differences of ${a.label} and ${b.label}`),
    BE.h("thead", null, BE.headRow(["Task", "Verdict", [`p, Holm (${tests})`, "num"], ["p", "num"], ["A", "num"], ["B", "num"], ["A \u2212 B", "num"],
      "Difference and 95% interval", ["MDE", "num"], ["W\u2013L\u2013T", "num"], "Test"])),
    BE.h("tbody", null, rows.map((row) => compareRow(row, domains[unitOf(row).name] || 1))));
}

function compareRow(row, largest) {
  const { column } = row;
  const digits = digitsOf(row);
  const number = (part, value, text, ...more) => BE.h("td", { class: "num", "data-part": part }, BE.data(value, text), more);
  const value = (part, score) => number(part, score, BE.fixed(score, Math.max(column.digits, column.unit.fine)));
  return BE.h("tr", { "data-column": column.key },
    BE.h("th", { scope: "row" }, BE.taskLink(column), BE.h("span", { class: "sub" }, column.unit.name, column.higher ? null : ", lower is better")),
    // What is asked first stands first: on a phone the rest is reached by scrolling.
    BE.h("td", null, BE.h("span", { class: `verdict ${row.verdict}` }, VERDICTS[row.verdict])),
    number("adjusted", row.adjusted, BE.pValue(row.adjusted)), number("p", row.p, BE.pValue(row.p)),
    value("a", row.valueA), value("b", row.valueB),
    number("difference", row.difference, BE.signed(row.difference, digits), row.other ? BE.h("span", { class: "sub" }, row.other.name) : null),
    BE.h("td", { class: "plot" }, BE.difference([-largest, largest], row, row.verdict),
      BE.h("span", { class: "ci" }, BE.range(row.low, row.high, digits))),
    row.verdict === "open" ? number("mde", row.mde, BE.fixed(row.mde, digits)) : number("mde", null, "\u2013"),
    BE.h("td", { class: "num" }, BE.isNumber(row.wins) ? `${row.wins}\u2013${row.losses}\u2013${row.ties}` : "\u2013"),
    BE.h("td", { class: "test" }, row.test ? `${row.test}, ${replicated(row)}` : null,
      row.note ? BE.h("span", { class: "sub" }, row.note) : null));
}

const replicated = (row) => (row.unit === "items" && row.clusters !== row.n ? `${BE.count(row.clusters)} clusters of items` : `${BE.count(row.clusters)} ${row.unit}`);

// One difference as a paper may print it: test, unit of replication, correction and family are always named.
BE.sentence = (a, b, row, tests) => {
  const { column } = row;
  const digits = digitsOf(row);
  const unit = unitOf(row).difference;
  const own = Math.max(column.digits, column.unit.fine);
  const values = `On ${column.title} (${BE.metricName(column.task.metric)}), ${a.label} scores ${BE.fixed(row.valueA, own)} and ${b.label} ${BE.fixed(row.valueB, own)}`;
  const head = row.other
    ? `${values}; by the held-out log-likelihood per word, which is what is tested, they differ by ${BE.signed(row.difference, digits)}${unit}`
    : `${values}, a difference of ${BE.signed(row.difference, digits)}${unit}`;
  const interval = BE.isNumber(row.low) ? `95% CI ${BE.fixed(row.low, digits)} to ${BE.fixed(row.high, digits)}; ` : "";
  const test = `${row.test}, ${replicated(row)}, p ${BE.equals(row.p)}, Holm-adjusted over ${BE.plural(tests, "test")} p ${BE.equals(row.adjusted)}`;
  const missed = row.verdict === "open" && BE.isNumber(row.mde)
    ? ` A true difference would have been found with 80% power (unadjusted) only if it were at least ${BE.fixed(row.mde, digits)}${unit}.` : "";
  const note = row.note ? ` Note: ${row.note}.` : "";
  return `${head} (${interval}${test}).${missed}${row.claim ? ` The claim is about ${row.claim}.` : ""}${note}`;
};

BE.paper = (a, b, rows, tests) => {
  const sentences = rows.filter((row) => BE.isNumber(row.p)).map((row) => BE.sentence(a, b, row, tests));
  if (!sentences.length) return null;
  const text = sentences.join("\n");
  const list = BE.h("ul", { class: "sentences" }, sentences.map((sentence) => BE.h("li", { dir: "auto" }, sentence)));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      BE.say("Copied.");
    } catch {
      getSelection().selectAllChildren(list);  // no clipboard for this page: select it, so that Ctrl+C does it
      BE.say("Selected; copy it with Ctrl+C.");
    }
  };
  return BE.h("section", null, BE.h("h2", null, "For a paper ", BE.h("button", { type: "button", class: "quiet", onclick: copy }, "Copy")), list);
};

// Differences by subset, made when opened: BLiMP alone has 67.
BE.subsets = (a, b, rows) => {
  const parts = rows.map(({ column }) => {
    const [left, right] = [BE.cell(column, a), BE.cell(column, b)];
    const differences = left && right && !column.mixed ? BE.subsetDifferences(column, left, right) : [];
    if (!differences.length) return null;
    const { wins, losses, ties } = BE.wins(differences, column.higher);
    const details = BE.h("details", { class: "subsets", "data-column": column.key },
      BE.h("summary", null, BE.name(column.title), `: A wins ${wins}, loses ${losses}, ties ${ties} of ${BE.plural(differences.length, "subset")}`));
    details.addEventListener("toggle", () => {
      if (details.open && !details.querySelector("table")) details.append(subsetTable(column, differences));
    });
    return details;
  }).filter(Boolean);
  return parts.length ? BE.h("section", null, BE.h("h2", null, "By subset"), parts) : null;
};

function subsetTable(column, differences) {
  const rows = [...differences].sort((x, y) => y.difference - x.difference);
  const largest = Math.max(...rows.map((row) => Math.abs(row.difference))) || 1;
  return BE.scroller(`${column.title} by subset`, BE.h("table", { class: "plain" },
    BE.h("thead", null, BE.headRow(["Subset", ["n", "num"], ["A", "num"], ["B", "num"], ["A \u2212 B", "num"], "Difference"])),
    BE.h("tbody", null, rows.map((row) => BE.h("tr", null,
      BE.h("th", { scope: "row", class: "mono" }, BE.name(row.name)),
      BE.h("td", { class: "num" }, BE.count(row.n)),
      BE.h("td", { class: "num" }, BE.fixed(row.a, 1)), BE.h("td", { class: "num" }, BE.fixed(row.b, 1)),
      BE.h("td", { class: "num" }, BE.data(row.difference, BE.signed(row.difference, 1))),
      BE.h("td", { class: "plot" }, BE.differenceBar(largest, row.difference)))))));
}
