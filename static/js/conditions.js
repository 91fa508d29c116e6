// Conditions in forms: narrows the operators to the chosen field, offers its values, adds rows. Without it everything still works.
const vocabulary = root => root.vocabulary ??= JSON.parse(root.dataset.condition);
// Values that a page knows of fields which take others too, such as categories.
const offered = () => JSON.parse(document.querySelector("[data-condition-offers]")?.dataset.conditionOffers ?? "{}");
const WHOLE = ["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "within"];
const MOST_NAMED = 12;

const partsOf = row => ["field", "op", "value"].map(name => row.querySelector(`[name$='-${name}']`));

const choicesOf = row => {
  const [field] = partsOf(row), known = vocabulary(row.closest("[data-condition]"))[field.value];
  return known?.choices.length ? known.choices : offered()[field.value] ?? [];
};

const narrow = row => {
  const [field, op] = partsOf(row), known = vocabulary(row.closest("[data-condition]"))[field.value];
  for (const option of op.options) option.hidden = option.disabled = Boolean(known) && !known.operators.includes(option.value);
  if (op.selectedOptions[0]?.disabled) op.value = known.operators[0];
  offer(row, choicesOf(row));
  doubt(row);
};

const offer = (row, choices) => {
  const value = partsOf(row)[2];
  row.querySelector("datalist")?.remove();
  value.removeAttribute("list");
  if (!choices.length) return;
  const list = Object.assign(document.createElement("datalist"), { id: `${value.id}-choices` });
  list.append(...choices.map(choice => new Option(choice, choice)));
  value.after(list);
  value.setAttribute("list", list.id);
};

// What was written is not among the values there are: said at once, below it.
const doubt = row => {
  const [, op, value] = partsOf(row), choices = choicesOf(row), listed = ["in", "not_in"].includes(op.value);
  const given = (listed ? value.value.split(",") : [value.value]).map(one => one.trim().replace(/^"(.*)"$/, "$1")).filter(Boolean);
  const wrong = choices.length && WHOLE.includes(op.value) && given.some(one => !choices.includes(one));
  let note = row.querySelector(".condition-doubt");
  if (!wrong || row.classList.contains("errors")) { note?.remove(); return; }
  if (!note) {
    note = Object.assign(document.createElement("p"), { className: "condition-doubt" });
    note.setAttribute("role", "status");
    value.closest("td").append(note);
  }
  const named = choices.slice(0, MOST_NAMED).join(", ") + (choices.length > MOST_NAMED ? " …" : "");
  note.textContent = row.closest("[data-condition]").dataset.conditionKnown.replace("{choices}", named);
};

const add = root => {
  const rows = root.querySelectorAll("[data-condition-row]"), last = rows[rows.length - 1], count = root.querySelector("[data-condition-count]");
  const fresh = last.cloneNode(true), from = `-${rows.length - 1}-`, to = `-${rows.length}-`;
  fresh.classList.remove("errors");
  fresh.querySelectorAll("datalist, .condition-error, .condition-doubt").forEach(part => part.remove());
  for (const part of fresh.querySelectorAll("[name]")) {
    const at = part.name.lastIndexOf(from);
    part.name = part.name.slice(0, at) + to + part.name.slice(at + from.length);
    if (part.id) part.id = part.id.slice(0, part.id.lastIndexOf(from)) + to + "value";
    part.removeAttribute("aria-invalid"); part.removeAttribute("aria-describedby");
    if (part.type === "checkbox") part.checked = false; else part.value = part.name.endsWith("-op") ? "eq" : "";
  }
  last.after(fresh);
  count.value = rows.length + 1;
  narrow(fresh);
  fresh.querySelector("[name$='-field']").focus();
};

const enhance = scope => scope.querySelectorAll("[data-condition]").forEach(root => {
  root.querySelectorAll("[data-condition-row]").forEach(narrow);
  root.querySelector("[data-condition-add]").hidden = false;
});

document.addEventListener("change", event => {
  const row = event.target.closest?.("[data-condition-row]");
  if (row && event.target.name.endsWith("-field")) narrow(row);
  else if (row) doubt(row);
});
document.addEventListener("click", event => { const button = event.target.closest("[data-condition-add]"); if (button) add(button.closest("[data-condition]")); });
document.addEventListener("formset:added", event => enhance(event.target));
enhance(document);
