// The payload in the form that the views need: columns with their values, models by id, pairs either way round.
"use strict";

BE.start = (payload) => {
  const modelById = new Map(payload.models.map((model) => [String(model.id), model]));
  const columns = [];
  for (const group of payload.groups) {
    for (const task of payload.tasks.filter((task) => task.group === group.key)) {
      for (const headline of task.headlines) columns.push(BE.column(payload, group, task, headline));
    }
  }
  BE.payload = payload;
  BE.models = payload.models;
  BE.modelById = modelById;
  BE.columns = columns;
  BE.columnByKey = new Map(columns.map((column) => [column.key, column]));
  BE.protocols = [...new Set(columns.flatMap((column) => BE.cells(column).flatMap((cell) => Object.keys(cell.official || {}))))].sort();
};

BE.cell = (column, model) => column.scores[model.id];

// Items of a stratum: those of the task where the model has no count of its own.
BE.stratumSize = (column, part, i) => (part.n || column.task.strata_n)[i];

BE.cells = (column) => Object.values(column.scores);

// Other protocols' numbers of a score, as they are shipped.
const OTHER_FIELDS = ["value", "low", "high", "n", "chance"];
const named = (numbers) => Object.fromEntries(OTHER_FIELDS.map((field, i) => [field, numbers[i]]));

// A column as a protocol gives it: the page's own, or another's, of which there are values, intervals, items and chance level.
// The best, and tests, are the page's own.
BE.under = (column, protocol) => {
  if (!protocol) return column;
  if (!column.others.has(protocol)) {
    const there = Object.entries(column.scores).filter(([, cell]) => (cell.official || {})[protocol]);
    const scores = Object.fromEntries(there.map(([id, cell]) => [id, named(cell.official[protocol])]));
    column.others.set(protocol, {
      ...column, ...shape(column.task, Object.values(scores)), scores, protocol,
      mixed: (BE.payload.mixed_official[column.key] || {})[protocol] || null, best: new Set(), even: false, untested: false,
    });
  }
  return column.others.get(protocol);
};

// Which models are marked: none where none is told from the best.
BE.isBest = (column, model) => !column.mixed && !column.even && column.best.has(String(model.id));

const UNITS = {
  percent: { digits: 1, fine: 2, difference: " points", name: "percent" },
  correlation: { digits: 2, fine: 2, difference: "", name: "correlation" },
  nats: { digits: 3, fine: 4, difference: " nats", name: "nats" },
};
BE.unit = (name) => UNITS[name] || { digits: 3, fine: 3, difference: ` ${name}`, name };

// A chance level with the digits of its column: that of reading may lie below one percent.
BE.chance = (value, digits) => BE.fixed(value, value % 1 ? digits : 0);

// What follows from a column's numbers: chance, digits, range, items. Parts of a task may each have a chance level of their own,
// and so may models; where these differ, there is a range of them, and no line is drawn.
function shape(task, cells) {
  const numbers = cells.flatMap((cell) => [cell.value, cell.low, cell.high, cell.chance]).filter(BE.isNumber);
  const sizes = [...new Set(cells.map((cell) => cell.n).filter(BE.isNumber))].sort((a, b) => a - b);
  const unit = BE.unit(task.unit);
  const largest = Math.max(0, ...cells.map((cell) => cell.value).filter(BE.isNumber).map(Math.abs));
  // Partial R2 is a few percent, where one digit would hide the differences.
  const digits = task.unit === "percent" && largest < 10 ? unit.fine : unit.digits;
  const levels = cells.map((cell) => cell.chance).filter(BE.isNumber).sort((a, b) => a - b);
  const ends = [...new Set([levels[0], levels[levels.length - 1]].filter(BE.isNumber).map((level) => BE.chance(level, digits)))];
  return {
    chance: ends.length === 1 ? levels[0] : null,
    chanceText: ends.join("\u2013") || null,
    digits,
    domain: numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : [0, 1],
    items: sizes.length > 1 ? `${BE.count(sizes[0])}\u2013${BE.count(sizes[sizes.length - 1])}` : BE.count(sizes[0]),
  };
}

BE.column = (payload, group, task, headline) => {
  const scores = payload.scores[headline.key] || {};
  const cells = Object.values(scores);
  const valued = cells.filter((cell) => BE.isNumber(cell.value)).length;
  return {
    key: headline.key, title: headline.title, group, task, headline, scores, protocol: "", others: new Map(),
    higher: task.higher_is_better, unit: BE.unit(task.unit), ...shape(task, cells),
    best: new Set((payload.best[headline.key] || []).map(String)),
    mixed: payload.mixed[headline.key] || null,
    // None of several models is told from the best.
    even: valued > 1 && valued === (payload.best[headline.key] || []).length,
    // Where some could not be tested, none is marked: to be left out would read as significantly worse.
    untested: valued > 1 && !payload.best[headline.key] && !payload.mixed[headline.key],
  };
};

// The column's number of a model: by the page's protocol, or as another one gives it.
BE.value = (column, model, protocol) => {
  const cell = BE.cell(BE.under(column, protocol), model);
  return cell && BE.isNumber(cell.value) ? cell.value : null;
};

// Why the column's numbers cannot be compared, under the page's protocol or another.
BE.unlike = (column, protocol) => BE.under(column, protocol).mixed;

// A mean over the official list is official by a pipeline's own rules alone.
BE.isOfficial = (protocol) => protocol.startsWith("babylm-");

// Mean rank over the columns that all these models have: any other mean would favour who lacks the hard ones.
BE.averageRanks = (columns, models, protocol) => {
  if (models.length < 2) return { shared: [], ranks: models.map(() => null) };
  const shared = columns.filter((column) => !BE.unlike(column, protocol) && models.every((model) => BE.value(column, model, protocol) !== null));
  const sums = models.map(() => 0);
  for (const column of shared) {
    const values = models.map((model) => BE.value(column, model, protocol));
    BE.stats.ranks(values, column.higher).forEach((rank, i) => (sums[i] += rank));
  }
  return { shared, ranks: sums.map((sum) => (shared.length ? sum / shared.length : null)) };
};

// Undefined values stand last in both directions.
BE.compareValues = (a, b, direction) => {
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  return (typeof a === "string" ? BE.collator.compare(a, b) : a - b) * direction;
};
BE.collator = new Intl.Collator("en", { numeric: true });

const flip = (row) => ({
  ...row, difference: negative(row.difference), low: negative(row.high), high: negative(row.low), wins: row.losses, losses: row.wins,
});
const negative = (value) => (BE.isNumber(value) ? -value : value);

// Remarks that give a number of each model, or a difference, give it as the pair was tested.
const TWO_NUMBERS = /[\d-] and [\d-]|differ by/;

// a minus b on one column, with its test: made here from subset means, or shipped with the page.
BE.pair = (column, a, b) => {
  const [left, right] = [BE.cell(column, a), BE.cell(column, b)];
  const values = { valueA: left ? left.value : null, valueB: right ? right.value : null };
  const none = { ...values, difference: null, low: null, high: null, p: null, mde: null, clusters: null, test: null };
  if (!left || !right) return { ...none, note: `no score of ${left ? "B" : right ? "A" : "either"}` };
  if (column.mixed) return { ...none, note: `not compared: ${column.mixed}` };
  if (column.task.test === "subsets") return { ...values, ...BE.subsetPair(column, a, b) };
  const shipped = BE.payload.pairs[column.key];
  const [first, second] = a.id < b.id ? [a, b] : [b, a];
  const key = `${first.id}-${second.id}`;
  const numbers = shipped && shipped.rows[key];
  if (!numbers) return { ...none, note: BE.payload.pairs_note || "no test was made when the page was built: babyeval compare makes it" };
  const row = Object.fromEntries(shipped.fields.map((field, i) => [field, numbers[i]]));
  const other = shipped.unit_of_value !== column.task.unit ? BE.unit(shipped.unit_of_value) : null;  // as likelihoods of reading times
  const told = { test: shipped.test, unit: shipped.unit, claim: shipped.claim, note: null, other, ...shipped.notes[key] };
  // Of items that both have, as words with an age under both, the difference is one of other values than the headlines.
  const tested = (shipped.values || {})[key];
  const [valueA, valueB] = !tested ? [values.valueA, values.valueB] : first === a ? tested : [tested[1], tested[0]];
  if (first !== a && TWO_NUMBERS.test(told.note)) told.note += ` (in the order ${first.label}, ${second.label})`;
  // A pair that could not be compared has no numbers at all, and nothing to remark.
  if (BE.isNumber(row.n)) told.note = joined(told.note, ...BE.pairRemarks(a, left, b, right));
  return { ...none, ...(first === a ? row : flip(row)), ...told, valueA, valueB };
};

// Several notes as one, each once.
const joined = (...notes) => [...new Set(notes.filter(Boolean))].join("; ") || null;

BE.subsetDifferences = (column, left, right) => {
  const rows = [];
  if (!left.strata || !right.strata) return rows;
  column.task.strata.forEach((name, i) => {
    const [a, b] = [left.strata.value[i], right.strata.value[i]];
    if (BE.isNumber(a) && BE.isNumber(b)) rows.push({ name, a, b, difference: a - b, n: BE.stratumSize(column, left.strata, i) });
  });
  return rows;
};

// What babyeval compare remarks of a pair whose difference may be due to the scoring, or of which there is little to compare.
BE.pairRemarks = (a, left, b, right) => {
  const [one, other] = [left, right].map((cell) => cell.backend.replace(/-corrected$/, ""));
  const chance = [left, right].every((cell) => [cell.chance, cell.low, cell.high].every(BE.isNumber) && cell.low <= cell.chance && cell.chance <= cell.high);
  return [
    one && other && one !== other ? `scored in different ways: ${a.label} as ${one}, ${b.label} as ${other}` : null,
    chance ? "near chance: each of these models' own intervals includes it" : null,
  ];
};

// Items that one of two lacks a number for, at least: a subset's mean over fewer items than another model's is of other items.
BE.lostItems = (column, left, right) => {
  const counts = BE.cells(column).map((cell) => cell.strata && cell.strata.n).filter(Boolean);
  if (!counts.length) return 0;
  return column.task.strata_n.reduce((sum, usual, i) => {
    const whole = counts.reduce((most, n) => Math.max(most, n[i]), usual);
    return sum + whole - Math.min(...[left, right].map((cell) => BE.stratumSize(column, cell.strata, i)));
  }, 0);
};

// Why there is no test, where babyeval compare makes none: without items, whose means may be rounded, and without some of them.
const refusal = (column, rows, a, left, b, right) => {
  const rounded = [[a, left], [b, right]].filter(([, cell]) => cell.rounded).map(([model]) => model.label);
  if (rounded.length) return `no test: ${rounded.join(" and ")} imported from rounded scores, without items`;
  const all = column.task.strata.length;
  if (rows.length < all) return `no test: ${rows.length} of ${all} subsets in common`;
  const lost = BE.lostItems(column, left, right);
  return lost ? `no test: at least ${BE.plural(lost, "item")} without a score under one of the models` : null;
};

BE.subsetPair = (column, a, b) => {
  const [left, right] = [BE.cell(column, a), BE.cell(column, b)];
  const rows = BE.subsetDifferences(column, left, right);
  const caveats = left.note === right.note ? [left.note] : [[a, left], [b, right]].map(([model, cell]) => cell.note && `${model.label}: ${cell.note}`);
  caveats.push(...BE.pairRemarks(a, left, b, right));
  const refused = refusal(column, rows, a, left, b, right);
  if (refused) {
    const numbers = BE.isNumber(left.value) && BE.isNumber(right.value);
    return { difference: numbers ? left.value - right.value : null, low: null, high: null, p: null, mde: null, clusters: null, test: null, note: joined(refused, ...caveats) };
  }
  const found = BE.stats.subsetTest(rows.map((row) => row.difference), left.level || 0.95);
  return {
    ...found, note: joined(found.note, ...caveats), ...BE.wins(rows, column.higher), n: rows.reduce((sum, row) => sum + row.n, 0),
    test: "t over subset means", unit: "subsets", claim: "these two checkpoints, on subsets like these",
  };
};

BE.wins = (rows, higher) => {
  const better = (row) => (higher ? row.difference : -row.difference);
  return {
    wins: rows.filter((row) => better(row) > 0).length,
    losses: rows.filter((row) => better(row) < 0).length,
    ties: rows.filter((row) => row.difference === 0).length,
  };
};
