// The table as CSV: what is shown, in its order, unrounded.
"use strict";

// RFC 4180; a text that a spreadsheet would run as a formula is kept from it by an apostrophe.
BE.csvField = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
};

BE.csv = ({ models, ranks, columns, protocol }) => {
  const facts = ["label", "name", "revision", "kind", "parameters", "condition", "train_seed", "words_seen", "digest"];
  const head = ["protocol", "split", ...facts, "average_rank"];
  const parts = ["low", "high", "n", "chance", "split", ...(protocol ? [] : ["best"])];
  for (const column of columns) head.push(column.key, ...parts.map((part) => `${column.key}.${part}`));
  // No 0 where nothing is marked: it would read as significantly worse.
  const best = (column, model) => (column.mixed || column.even || !column.best.size || BE.value(column, model) === null ? "" : Number(BE.isBest(column, model)));
  const lines = models.map((model, i) => {
    const fields = [protocol || BE.payload.protocol, BE.payload.split, ...facts.map((fact) => model[fact]), ranks[i]];
    for (const column of columns) {
      const cell = BE.cell(BE.under(column, protocol), model);
      const known = cell ? { ...cell, split: column.task.split, best: best(column, model) } : {};
      fields.push(known.value, ...parts.map((part) => known[part]));
    }
    return fields;
  });
  return [head, ...lines].map((fields) => fields.map(BE.csvField).join(",")).join("\r\n") + "\r\n";
};
