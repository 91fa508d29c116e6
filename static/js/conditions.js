// Conditions in forms: narrows the operators to the chosen field, offers its values, adds rows. Without it everything still works.
const vocabulary = root => root.vocabulary ??= JSON.parse(root.dataset.condition);

const narrow = row => {
  const root = row.closest("[data-condition]"), [field, op] = [row.querySelector("[name$='-field']"), row.querySelector("[name$='-op']")];
  const known = vocabulary(root)[field.value], value = row.querySelector("[name$='-value']");
  for (const option of op.options) option.hidden = option.disabled = Boolean(known) && !known.operators.includes(option.value);
  if (op.selectedOptions[0]?.disabled) op.value = known.operators[0];
  offer(row, value, known?.choices ?? []);
};

const offer = (row, value, choices) => {
  row.querySelector("datalist")?.remove();
  value.removeAttribute("list");
  if (!choices.length) return;
  const list = Object.assign(document.createElement("datalist"), { id: `${value.id}-choices` });
  list.append(...choices.map(choice => new Option(choice, choice)));
  value.after(list);
  value.setAttribute("list", list.id);
};

const add = root => {
  const rows = root.querySelectorAll("[data-condition-row]"), last = rows[rows.length - 1], count = root.querySelector("[data-condition-count]");
  const fresh = last.cloneNode(true), from = `-${rows.length - 1}-`, to = `-${rows.length}-`;
  fresh.classList.remove("errors");
  fresh.querySelectorAll("datalist, .condition-error").forEach(part => part.remove());
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
  fresh.querySelector("select").focus();
};

const enhance = scope => scope.querySelectorAll("[data-condition]").forEach(root => {
  root.querySelectorAll("[data-condition-row]").forEach(narrow);
  root.querySelector("[data-condition-add]").hidden = false;
});

document.addEventListener("change", event => { if (event.target.name?.endsWith("-field")) { const row = event.target.closest("[data-condition-row]"); if (row) narrow(row); } });
document.addEventListener("click", event => { const button = event.target.closest("[data-condition-add]"); if (button) add(button.closest("[data-condition]")); });
document.addEventListener("formset:added", event => enhance(event.target));
enhance(document);
