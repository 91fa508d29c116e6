// Seats of a level: adds rows, and takes the kind along with who is chosen. Without it three empty rows come with each saving.
{
  const rowsOf = table => [...table.querySelectorAll("tbody[data-order-row]")];

  const clear = part => {
    part.value = part.defaultValue = { weight: "1", required: "1" }[part.name.match(/\w+$/)[0]] ?? "";
    if (part.tagName === "SELECT") part.selectedIndex = 0;
  };

  const add = root => {
    const rows = rowsOf(root), fresh = rows.at(-1).cloneNode(true), count = root.querySelector("[data-seats-count]");
    fresh.classList.remove("errors");
    fresh.querySelectorAll("tr:not(:first-child)").forEach(notes => notes.remove());
    for (const part of fresh.querySelectorAll("[name]")) {
      part.name = part.name.replace(/-\d+-(\w+)$/, `-${rows.length}-$1`);
      if (part.id) part.id = part.id.replace(/-\d+-(\w+)$/, `-${rows.length}-$1`);
      clear(part);
    }
    rows.at(-1).after(fresh);
    count.value = rows.length + 1;
    fresh.dispatchEvent(new CustomEvent("order:added", { bubbles: true }));
    offer(root);
    fresh.querySelector("input[name$='-label']").focus();
  };

  // The button is there for as long as one more row is read.
  const offer = root => {
    const button = root.querySelector("[data-seats-add]");
    button.hidden = rowsOf(root).length >= Number(button.dataset.seatsAdd);
  };

  // Who is chosen from the list is of one kind; a name that the kind which is set has too, leaves it.
  const takeKind = who => {
    const known = [...who.list?.options ?? []].filter(option => option.value === who.value), kind = who.closest("tr").querySelector("[name$='-kind']");
    if (known.length && !known.some(option => option.dataset.kind === kind.value)) kind.value = known[0].dataset.kind;
  };

  const enhance = scope => scope.querySelectorAll("[data-seats]").forEach(offer);
  document.addEventListener("click", event => { const button = event.target.closest("[data-seats-add]"); if (button) add(button.closest("[data-seats]")); });
  document.addEventListener("change", event => { if (event.target.closest("[data-seats]") && event.target.name?.endsWith("-who")) takeKind(event.target); });
  document.addEventListener("formset:added", event => enhance(event.target));
  enhance(document);
}
