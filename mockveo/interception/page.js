// The exchanges and findings of a run, drawn by the components of the dashboard.
{
  const { html, Sequence, Wire } = modules["parts.js"];
  const { render, useState } = modules["vendor.js"];
  const { exchanges, findings } = JSON.parse(document.getElementById("data").textContent);
  const shown = exchanges.map(({ summary }) => summary);

  function Picture({ list, marks }) {
    const [open, setOpen] = useState(0);
    const opened = exchanges.find(({ summary }) => summary.number === open);
    return html`<${Sequence} exchanges=${list} marks=${marks} limit=${60} open=${(number) => setOpen(number === open ? 0 : number)} />
      ${opened ? html`<${Wire} messages=${opened.messages} />` : ""}`;
  }
  for (const [place, { exchanges: marks }] of findings.entries()) {
    const jobs = new Set(shown.filter(({ number, job }) => job && marks.includes(number)).map(({ job }) => job));
    const list = shown.filter(({ number, job }) => jobs.has(job) || marks.includes(number));
    if (list.length) render(html`<${Picture} list=${list} marks=${marks} />`, document.getElementById(`finding-${place}`));
  }
  if (shown.length) render(html`<${Picture} list=${shown} marks=${findings.flatMap((finding) => finding.exchanges)} />`, document.getElementById("sequence"));
}
