// Rows put into order by dragging or with two buttons; the numbers written in them follow. Without it the numbers are edited by hand.
{
  const rowsOf = list => [...list.querySelectorAll("[data-order-row]")].filter(row => row.closest("[data-order]") === list && !row.classList.contains("empty-form"));
  const numberOf = (row, list) => row.querySelector(`input[name$="${list.dataset.order}"]`);

  // Numbers of what runs side by side: rows that share one move together (levels). Without groups every row has a number of its own (seats).
  const grouped = list => Boolean(list.dataset.orderBeside);

  const renumber = list => {
    const inputs = rowsOf(list).map(row => numberOf(row, list)).filter(Boolean);
    const numbers = inputs.map(input => parseInt(input.value, 10) || inputs.length).sort((a, b) => a - b);
    inputs.forEach((input, index) => { input.value = numbers[index]; });
  };

  // The groups by their numbers; a row without a number comes last, alone.
  const groupsOf = list => {
    const groups = new Map(), without = [];
    for (const row of rowsOf(list)) {
      const number = parseInt(numberOf(row, list).value, 10);
      if (Number.isNaN(number)) without.push([row]);
      else groups.set(number, [...groups.get(number) ?? [], row]);
    }
    return [...[...groups.keys()].sort((a, b) => a - b).map(number => groups.get(number)), ...without];
  };

  // The numbers that are there go to the groups in order, and more after them where there are more groups.
  const numberGroups = (list, groups) => {
    const numbers = [...new Set(rowsOf(list).map(row => parseInt(numberOf(row, list).value, 10)).filter(Number.isInteger))].sort((a, b) => a - b);
    while (numbers.length < groups.length) numbers.push((numbers.at(-1) ?? 0) + 1);
    groups.forEach((group, index) => group.forEach(row => { numberOf(row, list).value = numbers[index]; }));
  };

  // Every other row moves around this one, so that what has the focus keeps it.
  const standAround = (row, ordered) => {
    const at = ordered.indexOf(row);
    ordered.slice(0, at).forEach(other => row.before(other));
    ordered.slice(at + 1).reverse().forEach(other => row.after(other));
  };

  const stepGroup = (row, list, by) => {
    const groups = groupsOf(list), at = groups.findIndex(group => group.includes(row)), to = at + by;
    if (to < 0 || to >= groups.length) return;
    [groups[at], groups[to]] = [groups[to], groups[at]];
    numberGroups(list, groups);
    standAround(row, groups.flat());
    settled(row, list);
  };

  // Dropped between two of one number a row joins them; beside one of its own number it stays with it; else it stands alone.
  const dropGroup = (row, list) => {
    const rows = rowsOf(list), at = rows.indexOf(row), before = rows[at - 1], after = rows[at + 1];
    const number = one => one && numberOf(one, list).value, own = number(row);
    const joined = before && after && number(before) === number(after) ? before : [before, after].find(one => one && number(one) === own);
    const others = new Map();
    for (const other of rows) if (other !== row) others.set(number(other), [...others.get(number(other)) ?? [], other]);
    if (joined) others.get(number(joined)).push(row);
    const groups = [...others.values()];
    if (!joined) groups.splice(before ? groups.findIndex(group => group.includes(before)) + 1 : 0, 0, [row]);
    groups.forEach(group => group.sort((a, b) => rows.indexOf(a) - rows.indexOf(b)));
    numberGroups(list, groups);
    settled(row, list);
  };

  // Each row says which others share its number.
  const sayBeside = list => {
    if (!grouped(list)) return;
    const kept = rowsOf(list).filter(row => !row.querySelector("input[name$='-DELETE']")?.checked), number = row => numberOf(row, list).value.trim();
    for (const row of rowsOf(list)) {
      const others = kept.includes(row) && number(row) ? kept.filter(other => other !== row && number(other) === number(row)) : [];
      const names = others.map(other => other.querySelector("input[name$='-name']").value.trim()).filter(Boolean);
      const place = row.querySelector("[data-order-beside-words]");
      if (place) place.textContent = names.length ? list.dataset.orderBeside.replace("{names}", names.join(", ")) : "";
    }
  };

  const tell = (row, list) => {
    const rows = rowsOf(list), words = list.dataset.orderMoved.replace("{place}", rows.indexOf(row) + 1).replace("{count}", rows.length);
    const beside = row.querySelector("[data-order-beside-words]")?.textContent;
    let status = document.getElementById("order-status");
    if (!status) {
      status = Object.assign(document.createElement("p"), { id: "order-status", className: "visually-hidden" });
      status.setAttribute("role", "status");
      document.body.append(status);
    }
    status.textContent = beside ? `${words}. ${beside}` : words;
  };

  const settled = (row, list) => { sayBeside(list); tell(row, list); };
  const settle = (row, list) => { if (grouped(list)) dropGroup(row, list); else { renumber(list); settled(row, list); } };

  const step = (row, list, by) => {
    if (grouped(list)) return stepGroup(row, list, by);
    const rows = rowsOf(list), other = rows[rows.indexOf(row) + by];
    if (!other) return;
    if (by < 0) row.after(other); else row.before(other);
    settle(row, list);
  };

  const button = (words, sign, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "order-button", textContent: sign, title: words });
    made.setAttribute("aria-label", words);
    made.addEventListener("click", act);
    return made;
  };

  let dragged = null, order = [];

  const draggable = (row, list) => {
    const handle = Object.assign(document.createElement("span"), { className: "order-handle", textContent: "⠿", title: list.dataset.orderDrag });
    handle.setAttribute("aria-hidden", "true");
    // Only by the handle: text in the fields can still be selected.
    handle.addEventListener("pointerdown", () => { row.draggable = true; });
    handle.addEventListener("pointerup", () => { row.draggable = false; });
    row.addEventListener("dragstart", event => {
      if (event.target !== row) return;
      dragged = row;
      order = rowsOf(list);
      row.classList.add("order-dragged");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", "");
    });
    row.addEventListener("dragend", () => { row.draggable = false; row.classList.remove("order-dragged"); dragged = null; });
    return handle;
  };

  const over = (event, list) => {
    if (!dragged || dragged.closest("[data-order]") !== list) return;
    event.preventDefault();
    const row = rowsOf(list).find(one => one.contains(event.target));
    if (!row || row === dragged) return;
    const box = row.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) row.before(dragged); else row.after(dragged);
  };

  const control = (row, list) => {
    const place = row.querySelector("[data-order-controls]");
    if (!place || row.classList.contains("empty-form")) return;
    place.replaceChildren(draggable(row, list),
      button(list.dataset.orderUp, "↑", () => step(row, list, -1)),
      button(list.dataset.orderDown, "↓", () => step(row, list, 1)));
  };

  const enhance = list => {
    rowsOf(list).forEach(row => control(row, list));
    sayBeside(list);
    if (list.dataset.orderReady) return;
    list.dataset.orderReady = "yes";
    list.addEventListener("dragover", event => over(event, list));
    list.addEventListener("drop", event => {
      if (!dragged || dragged.closest("[data-order]") !== list) return;
      event.preventDefault();
      if (rowsOf(list).some((row, index) => row !== order[index])) settle(dragged, list);
    });
    list.addEventListener("input", () => sayBeside(list));
    list.addEventListener("change", () => sayBeside(list));
  };

  const enhanceAll = scope => scope.querySelectorAll("[data-order]").forEach(enhance);
  // A level that was added brings its seats along, and none of the listeners of the row it was copied from.
  const added = event => {
    const row = event.target, list = row.closest("[data-order]");
    row.querySelectorAll("[data-order]").forEach(inner => { delete inner.dataset.orderReady; });
    enhanceAll(row);
    if (!list) return;
    control(row, list);
    const number = numberOf(row, list), last = Math.max(0, ...rowsOf(list).filter(one => one !== row).map(one => parseInt(numberOf(one, list)?.value, 10) || 0));
    if (number && !number.value) number.value = last + 1;
    sayBeside(list);
  };
  document.addEventListener("formset:added", added);
  document.addEventListener("order:added", added);
  document.addEventListener("formset:removed", () => document.querySelectorAll("[data-order]").forEach(sayBeside));
  enhanceAll(document);
}
