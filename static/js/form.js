// Choosing people from a long list: the plain <select multiple> works without this.
document.querySelectorAll("select[data-select]").forEach(s => {
  const label = document.querySelector(`label[for="${CSS.escape(s.id)}"]`)?.textContent.trim() || "";
  s.setAttribute("aria-label", label);
  const ts = new TomSelect(s, { create: false, maxOptions: 200, hideSelected: true, closeAfterSelect: false, plugins: [] });
  ts.control_input.setAttribute("aria-label", label);
});
