// The layer picture: the path of what is pointed at, arrow keys between components, zoom. Without it every component is a link.
const svg = document.querySelector("[data-board]");
if (svg) {
  const nodes = [...svg.querySelectorAll("a.b")], edges = [...svg.querySelectorAll(".e")];
  const into = nodes.map(() => []), out = nodes.map(() => []);
  edges.forEach(e => { const { a, b } = e.dataset; into[b].push(e); out[a].push(e); });
  const name = n => n.querySelector("title").textContent;
  const says = document.querySelector("[data-board-says]"), silent = says.textContent;
  says.hidden = false;

  /* everything from `start` along `ways`, and the lines gone over */
  const follow = (start, ways, end) => {
    const seen = new Set([start]), over = new Set(), open = [start];
    while (open.length) for (const e of ways[open.pop()]) { over.add(e); const next = +e.dataset[end]; if (!seen.has(next)) { seen.add(next); open.push(next); } }
    return [seen, over];
  };
  const path = start => {
    const stops = [start], seen = new Set(stops);
    for (let at = start; into[at].length;) { at = +into[at][0].dataset.a; if (seen.has(at)) break; seen.add(at); stops.unshift(at); }
    return stops;
  };
  const light = n => {
    const at = +n.dataset.n, [up, upOver] = follow(at, into, "a"), [down, downOver] = follow(at, out, "b");
    svg.classList.add("dim");
    nodes.forEach((x, i) => x.classList.toggle("lit", up.has(i) || down.has(i)));
    edges.forEach(e => e.classList.toggle("lit", upOver.has(e) || downOver.has(e)));
    const stops = path(at).slice(0, -1).map(i => name(nodes[i]).split(": ")[0]);
    says.textContent = [...stops, name(n)].join(" → ");
  };
  const dark = () => {
    const focused = nodes.find(n => n === document.activeElement);
    if (focused) { light(focused); return; }
    svg.classList.remove("dim");
    [...nodes, ...edges].forEach(x => x.classList.remove("lit"));
    says.textContent = silent;
  };
  nodes.forEach(n => { n.addEventListener("mouseenter", () => light(n)); n.addEventListener("mouseleave", dark); n.addEventListener("focus", () => light(n)); n.addEventListener("blur", dark); });

  /* one stop for Tab, arrows inside */
  const box = n => { const r = n.querySelector("rect"); return { x: +r.getAttribute("x"), y: +r.getAttribute("y") }; };
  const places = nodes.map(box);
  let current = Math.max(0, nodes.findIndex(n => n.matches(".changed,.added,.removed")));
  const move = to => { nodes[current].tabIndex = -1; current = to; nodes[to].tabIndex = 0; nodes[to].focus(); };
  nodes.forEach((n, i) => { n.tabIndex = i === current ? 0 : -1; n.addEventListener("focus", () => { if (i !== current) { nodes[current].tabIndex = -1; current = i; n.tabIndex = 0; } }); });
  const nearest = (sideways, sign) => {
    const from = places[current], far = p => sideways ? Math.abs(p.x - from.x) * 4 + Math.abs(p.y - from.y) : Math.abs(p.y - from.y) + Math.abs(p.x - from.x) * 4;
    const there = p => sideways ? (p.x - from.x) * sign > 0 : (p.y - from.y) * sign > 0;
    return places.map((p, i) => [far(p), i, p]).filter(([, , p]) => there(p)).sort((a, b) => a[0] - b[0] || a[1] - b[1])[0]?.[1];
  };
  svg.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const to = { ArrowRight: () => nearest(true, 1), ArrowLeft: () => nearest(true, -1), ArrowDown: () => nearest(false, 1), ArrowUp: () => nearest(false, -1), Home: () => 0, End: () => nodes.length - 1 }[e.key]?.();
    if (to !== undefined) { e.preventDefault(); move(to); }
  });

  /* zoom: the drawing's own width, the box around it scrolls */
  const tools = document.querySelector("[data-zoom]"), room = svg.parentElement, { width, height } = svg.viewBox.baseVal;
  tools.hidden = false;
  const wide = px => { svg.style.width = `${Math.round(Math.min(4 * width, Math.max(120, px)))}px`; svg.style.minWidth = "0"; };
  tools.addEventListener("click", e => {
    const by = e.target.closest("[data-by]")?.dataset.by, now = svg.getBoundingClientRect().width;
    if (by === "in") wide(now * 1.25);
    if (by === "out") wide(now / 1.25);
    if (by === "fit") wide(Math.min(room.clientWidth, (innerHeight - 160) * width / height));
    if (by === "full") wide(room.clientWidth);
  });
}
