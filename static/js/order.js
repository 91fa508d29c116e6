// Rows put into order by dragging or with two buttons; the numbers written in them follow. Without it the numbers are edited by hand.
{
  const rowsOf = list => [...list.querySelectorAll("[data-order-row]")].filter(row => row.closest("[data-order]") === list && !row.classList.contains("empty-form"));
  const numberOf = (row, list) => row.querySelector(`input[name$="${list.dataset.order}"]`);

  // The numbers stay where they are and the rows move: what stood side by side by one number still does.
  const renumber = list => {
    const inputs = rowsOf(list).map(row => numberOf(row, list)).filter(Boolean);
    const numbers = inputs.map(input => parseInt(input.value, 10) || inputs.length).sort((a, b) => a - b);
    inputs.forEach((input, index) => { input.value = numbers[index]; });
  };

  const tell = (row, list) => {
    const rows = rowsOf(list), words = list.dataset.orderMoved.replace("{place}", rows.indexOf(row) + 1).replace("{count}", rows.length);
    let status = document.getElementById("order-status");
    if (!status) {
      status = Object.assign(document.createElement("p"), { id: "order-status", className: "visually-hidden" });
      status.setAttribute("role", "status");
      document.body.append(status);
    }
    status.textContent = words;
  };

  const settle = (row, list) => { renumber(list); tell(row, list); };

  // The neighbour moves, not the row, so that the button keeps the focus.
  const step = (row, list, by) => {
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

  let dragged = null;

  const draggable = (row, list) => {
    const handle = Object.assign(document.createElement("span"), { className: "order-handle", textContent: "⠿", title: list.dataset.orderDrag });
    handle.setAttribute("aria-hidden", "true");
    // Only by the handle: text in the fields can still be selected.
    handle.addEventListener("pointerdown", () => { row.draggable = true; });
    handle.addEventListener("pointerup", () => { row.draggable = false; });
    row.addEventListener("dragstart", event => {
      if (event.target !== row) return;
      dragged = row;
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
    if (list.dataset.orderReady) return;
    list.dataset.orderReady = "yes";
    list.addEventListener("dragover", event => over(event, list));
    list.addEventListener("drop", event => { if (dragged) { event.preventDefault(); settle(dragged, list); } });
  };

  const enhanceAll = scope => scope.querySelectorAll("[data-order]").forEach(enhance);
  // A level that was added brings its seats along, and none of the listeners of the row it was copied from.
  document.addEventListener("formset:added", event => {
    const row = event.target, list = row.closest("[data-order]");
    row.querySelectorAll("[data-order]").forEach(inner => { delete inner.dataset.orderReady; });
    enhanceAll(row);
    if (!list) return;
    control(row, list);
    const number = numberOf(row, list), last = Math.max(0, ...rowsOf(list).filter(one => one !== row).map(one => parseInt(numberOf(one, list)?.value, 10) || 0));
    if (number && !number.value) number.value = last + 1;
  });
  enhanceAll(document);
}
