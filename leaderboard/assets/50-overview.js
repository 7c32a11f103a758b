// The overview: its filters, what is sorted and shown, and the CSV of it.
"use strict";

BE.views = {};

const SIZES = [
  ["", "any size"], ["0-1e7", "below 10M"], ["1e7-5e7", "10M to 50M"], ["5e7-1.5e8", "50M to 150M"], ["1.5e8-Infinity", "150M and more"],
];

// Kept while other views are open.
const state = { text: "", kind: "", size: "", condition: "", protocol: "", sort: "rank", direction: 1, hiddenGroups: new Set() };
let drawn = null;

BE.views.overview = () => {
  if (!drawn) drawn = draw();
  return { title: "Overview", node: drawn.node };
};

function draw() {
  const table = BE.overviewTable(BE.columns, sortBy);
  const counter = BE.h("p", { id: "shown" });
  const [summary, note, legend] = [BE.h("p", { class: "lead" }), BE.h("p", { class: "notice", id: "under" }), BE.h("div", { class: "legend" })];
  const node = BE.h("div", { class: "view overview" },
    BE.h("h1", { tabindex: "-1" }, BE.name(BE.payload.title)),
    summary,
    BE.miniNotice(BE.payload.tasks),
    BE.warnings(),
    BE.models.length ? [
      filters(), note, BE.h("div", { class: "counter" }, counter, csvButton()),
      BE.scroller("Scores of all models on all tasks", table.node, "wide"),
      legend,
    ] : BE.h("p", { class: "notice" }, "No results to show."),
    BE.otherFigures());
  const view = { node, table, counter, summary, note, legend };
  update(view, true);
  return view;
}

BE.summary = (protocol) => {
  const { payload } = BE;
  return [
    `${BE.plural(BE.models.length, "model")}, ${BE.plural(payload.tasks.length, "task")}; protocol `,
    BE.h("strong", null, protocol || payload.protocol), protocol ? ` (the page\u2019s own is ${payload.protocol})` : null,
    ", split ", BE.h("strong", null, payload.split), ", 95% intervals. ", BE.link("#/tasks", "What is measured, and how"), ".",
  ];
};

// Under another protocol the page knows the numbers, and makes no tests.
BE.underNote = (protocol) => [
  "Scores under ", BE.h("strong", null, protocol), ` with their intervals. The best of a column, and comparisons, are of the page\u2019s own protocol, ${BE.payload.protocol}: `,
  BE.h("code", null, `babyeval leaderboard RESULTS --protocol ${protocol}`), " builds the page with theirs.",
];

// What must be known before a number is quoted.
BE.warnings = () => {
  const { notes, damaged, mixed } = BE.payload;
  const items = [
    ...notes.map((note) => BE.h("li", { dir: "auto" }, note)),
    ...Object.keys(mixed).map((key) => BE.h("li", null, BE.h("strong", null, (BE.columnByKey.get(key) || { title: key }).title),
      `: ${mixed[key]}; no best is marked, and it enters no mean or rank`)),
    ...damaged.map((record) => BE.h("li", null, "left out: ", BE.h("code", null, BE.name(record.path)), ` (${record.reason})`)),
  ];
  if (!items.length) return null;
  return BE.h("details", { class: "warnings", open: items.length <= 4 },
    BE.h("summary", null, BE.plural(items.length, "remark"), " on these results"), BE.h("ul", null, items));
};

BE.legend = (protocol) => {
  const several = BE.models.length > 1;
  const bySubset = BE.payload.tasks.filter((task) => task.test === "subsets").map((task) => task.title).join(", ");
  const shown = protocol || BE.payload.protocol;
  const mean = BE.isOfficial(shown)
    ? `The official mean is that of the BabyLM pipeline of ${shown}: only where complete and of one split, and mixing units as it does.`
    : `The mean over the official list is of the tasks that the BabyLM pipelines average, here under ${shown}, and so not official: only where complete and of one split.`;
  return [
    several && !protocol ? BE.h("p", null, BE.h("span", { class: "sample best" }, "\u25CF 61.2"), " the best of a column and all that are not significantly worse ",
      "(5%, Holm over the comparisons with the best of that column; Compare adjusts over all columns at once, and may tell fewer apart); ",
        "no mark where none is told from the best, or where some could not be tested.") : null,
    BE.h("p", null, "Bars start at chance (dotted; at zero where there is no chance level); the line through their end is the 95% interval of the number on its own."),
    several ? BE.h("p", null, "An interval is of one model alone, on the subsets as they are; the test of two models is another question: ",
      bySubset ? `of ${bySubset} it asks about subsets like these, of all other tasks about ` : "it asks about ",
      "differences on the same items. So neither that two intervals overlap nor that they lie apart decides whether two models differ: ", BE.link("#/compare", "compare two"), ".") : null,
    several || BE.hasMeans() ? BE.h("p", null, several ? "The average rank is taken over those columns that all models shown have. " : null, BE.hasMeans() ? mean : null) : null,
  ];
};

BE.otherFigures = () =>
  Object.keys(BE.payload.figures)
    .filter((name) => !/^(zscores$|effects$|curve:)/.test(name) && !BE.payload.tasks.some((task) => task.id === name))
    .map((name) => BE.figure(name));

function filters() {
  const unique = (field) => [...new Set(BE.models.map((model) => model[field]).filter(Boolean))].sort(BE.collator.compare);
  const choices = (field, any) => [["", any], ...unique(field).map((value) => [value, value])];
  const choose = (field) => (event) => {
    state[field] = event.target.value;
    update(drawn, field === "protocol");
  };
  const groups = [...new Map(BE.columns.map((column) => [column.group.key, column.group])).values()];
  return BE.h("form", { class: "filters", role: "search", "aria-label": "Filter models", onsubmit: (event) => event.preventDefault() },
    BE.h("div", { class: "field grow" }, BE.h("label", { for: "filter-text" }, "Find"),
      BE.h("input", { id: "filter-text", type: "search", placeholder: "name, source or condition", autocomplete: "off", oninput: choose("text") })),
    BE.select("filter-kind", "Family", choices("kind", "any family"), "", choose("kind")),
    BE.select("filter-size", "Parameters", SIZES, "", choose("size")),
    unique("condition").length ? BE.select("filter-condition", "Condition", choices("condition", "any condition"), "", choose("condition")) : null,
    BE.protocols.length ? BE.select("filter-protocol", "Scores under",
      [["", `${BE.payload.protocol} (this page)`], ...BE.protocols.map((name) => [name, name])], "", choose("protocol")) : null,
    groups.length > 1 ? BE.h("fieldset", { class: "field" }, BE.h("legend", null, "Columns"),
      groups.map((group) => BE.h("label", { class: "check" },
        BE.h("input", { type: "checkbox", checked: true, value: group.key, onchange: (event) => toggleGroup(group.key, event.target.checked) }), group.title))) : null);
}

const csvButton = () => BE.h("button", {
  type: "button", id: "csv", onclick: () => BE.download("babyeval-leaderboard.csv", "text/csv;charset=utf-8", BE.csv(shown())),
}, "Download CSV");

function toggleGroup(key, visible) {
  if (visible) state.hiddenGroups.delete(key);
  else state.hiddenGroups.add(key);
  drawn.table.showGroups(state.hiddenGroups);
  update(drawn, false);
}

// Newest choice first sorts the best to the top, again turns it round.
function sortBy(key) {
  if (state.sort === key) state.direction = -state.direction;
  else [state.sort, state.direction] = [key, firstDirection(key)];
  update(drawn, false);
  const column = BE.columnByKey.get(key);
  BE.say(`Sorted by ${column ? column.title : key}, ${state.direction === firstDirection(key) ? "best or first" : "worst or last"} at the top.`);
}

function firstDirection(key) {
  const column = BE.columnByKey.get(key);
  if (column) return column.higher ? -1 : 1;
  return key.startsWith("macro:") ? -1 : 1;
}

function matches(model) {
  if (state.kind && model.kind !== state.kind) return false;
  if (state.condition && model.condition !== state.condition) return false;
  if (state.size) {
    const [low, high] = state.size.split("-").map(Number);
    if (!BE.isNumber(model.parameters) || model.parameters < low || model.parameters >= high) return false;
  }
  const words = state.text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const text = [model.label, model.name, model.revision, model.source, model.condition, model.kind].join(" ").toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}

const visibleColumns = () => BE.columns.filter((column) => !state.hiddenGroups.has(column.group.key));

// What the sorted column says of each model, computed once for each sort.
function sortKeys(models, ranks) {
  const column = BE.columnByKey.get(state.sort);
  if (column) return models.map((model) => BE.value(column, model, state.protocol));
  if (state.sort === "rank") return ranks;
  if (state.sort === "model") return models.map((model) => model.label);
  if (state.sort.startsWith("macro:")) return models.map((model) => BE.macro(state.sort.slice(6), model, state.protocol));
  return models.map(() => null);
}

// Whether any mean over an official list can be shown, of one group or at all.
BE.hasMeans = (group) => BE.models.some((model) => ["", ...BE.protocols].some((protocol) =>
  (group ? [group] : BE.payload.groups.map((entry) => entry.key)).some((key) => BE.isNumber(BE.macro(key, model, protocol)))));

// An official mean: the page's protocol's, or another's as far as the records hold it.
BE.macro = (group, model, protocol) => {
  if (protocol) return ((model.official || {})[protocol] || {})[group] ?? null;
  const entry = (BE.payload.macro[group] || {})[model.id];
  return entry ? entry.value : null;
};

function sorted() {
  const models = BE.models.filter(matches);
  const { shared, ranks } = averageRanks(models);
  const keys = sortKeys(models, ranks);
  const order = models.map((_, i) => i);
  order.sort((a, b) => BE.compareValues(keys[a], keys[b], state.direction) || a - b);
  return { models: order.map((i) => models[i]), ranks: order.map((i) => ranks[i]), shared };
}

// Sorting changes no rank.
let ranked = { key: null };
function averageRanks(models) {
  const key = JSON.stringify([state.protocol, [...state.hiddenGroups], models.map((model) => model.id)]);
  if (ranked.key !== key) ranked = { key, ...BE.averageRanks(visibleColumns(), models, state.protocol) };
  return ranked;
}

const shown = () => ({ ...sorted(), columns: visibleColumns(), protocol: state.protocol });

function update(view, refill) {
  const { models, ranks, shared } = sorted();
  if (refill) {
    view.table.fill(state.protocol);
    const told = [[view.summary, BE.summary], [view.legend, BE.legend], [view.note, (protocol) => (protocol ? BE.underNote(protocol) : [])]];
    for (const [element, tell] of told) {
      element.replaceChildren();
      BE.fill(element, null, tell(state.protocol));
    }
    view.note.hidden = !state.protocol;
  }
  view.table.arrange(models, ranks, state.sort, state.direction);
  const columns = visibleColumns().length;
  const over = models.length > 1 ? `; average rank over ${shared.length} of ${BE.plural(columns, "column")}` : "";
  const text = `${models.length} of ${BE.plural(BE.models.length, "model")} shown${over}.`;
  if (view.counter.textContent !== text) BE.say(text);
  view.counter.textContent = text;
}
