"use strict";
(() => {
  const { title, clients, rules } = JSON.parse(document.getElementById("data").textContent);
  const SIGNS = { violation: "\u2717", warning: "!", info: "i", pass: "\u2713", known: "~", "not exercised": "\u2013", "adapter error": "\u26a0" };
  const GROUPS = [
    [null, "ADAPTER", "What drives the client broke, not the client. These cases say nothing about it."],
    ["must", "MUST", "Whoever breaks one of these is wrong."],
    ["should", "SHOULD", "Breaking one of these costs money, time or patience: a warning."],
    ["info", "INFO", "Good to know. Nobody is sure of these, or nobody is hurt."],
  ];
  const WORST = ["adapter error", "violation", "warning", "info", "known", "pass", "not exercised"];
  const one = clients.length === 1;

  // Texts only ever become text: whatever a prompt holds, nothing of it is read as HTML.
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "onclick" || name === "ontoggle" || name === "onchange") element[name] = value;
      else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child != null && child !== ""));
    return element;
  }
  const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const tone = (verdict) => verdict.replace(" ", "-");

  function log(entries, marks) {
    const body = h("tbody");
    let before = null;
    for (const [number, at, line] of entries) {
      if (before !== null && number > before + 1) {
        body.append(h("tr", {}, h("td", { class: "n" }, "\u2026"), h("td", {}), h("td", { class: "soft" }, `${number - before - 1} more left out`)));
      }
      before = number;
      const bad = marks.includes(number);
      const [first, ...notes] = line.split("\n");
      body.append(h("tr", bad ? { class: "bad" } : {},
        h("td", { class: "n" }, bad ? `\u25b6 ${number}` : `${number}`),
        h("td", { class: "at" }, `${at.toFixed(3)} s`),
        h("td", {}, first, ...notes.map((note) => h("span", { class: "note" }, note)))));
    }
    if (!entries.length) return h("span", { class: "soft" }, "none");
    return h("table", { class: "log" },
      h("thead", {}, h("tr", {}, h("th", { class: "n", scope: "col" }, "no."), h("th", { class: "at", scope: "col" }, "after"),
        h("th", { scope: "col" }, marks.length ? "request \u2192 what the client was told (\u25b6 shows what is wrong)" : "request \u2192 what the client was told"))),
      body);
  }

  function facts(client, number, finding) {
    const it = client.cases[number];
    const list = h("dl");
    const add = (name, value, attributes) => {
      if (value && value.length !== 0) list.append(h("dt", {}, name), h("dd", attributes || {}, value));
    };
    if (finding) {
      add("seen", finding.message, { class: "seen" });
      if (finding.known) add("known", finding.known);
    }
    add("call", it.call.join("\n"), { class: "lines" });
    add("scenario", it.scenario.join("\n"), { class: "lines" });
    add("exchanges", log(it.log, finding ? finding.marks : []));
    add("reported", it.reported);
    if (finding && finding.output) add("wrote", h("pre", {}, finding.output));
    if (finding) for (const [place, line] of finding.again.entries()) add(place ? "" : "again", h("pre", {}, line));
    return list;
  }

  // Filled when it is opened: three hundred logs at once would make the page slow.
  function folded(title, fill, open) {
    const element = h("details", { open }, h("summary", {}, title));
    const filled = () => {
      if (element.open && element.childElementCount === 1) element.append(fill());
    };
    element.ontoggle = filled;
    filled();
    return element;
  }

  const caseTitle = (client, number) => `${client.cases[number].name}${client.cases[number].says ? ` \u00b7 ${client.cases[number].says}` : ""}`;

  function panel(rule, client, cell) {
    const box = h("div", { class: `panel ${tone(cell.verdict)}` });
    box.append(h("h3", {}, `${rule.id} \u00b7 ${client.name}`));
    const list = h("dl", {}, h("dt", {}, "wanted"), h("dd", {}, rule.says), h("dt", {}, "source"), h("dd", { class: "soft" }, rule.source));
    box.append(list);
    if (cell.findings.length) {
      const met = cell.findings.length + cell.passes.length;
      if (rule.severity) box.append(h("p", {}, `Broken in ${cell.findings.length} of ${counted(met, "case")} that had to do with it; the shortest is open.`));
      for (const [place, finding] of cell.findings.entries()) {
        box.append(folded(caseTitle(client, finding.case), () => facts(client, finding.case, finding), place === 0));
      }
    }
    if (cell.passes.length) {
      const list = () => h("div", {}, ...cell.passes.map((number) => folded(caseTitle(client, number), () => facts(client, number, null))));
      box.append(folded(`Kept in ${counted(cell.passes.length, "case")}`, list, !cell.findings.length));
    }
    if (cell.kept > cell.passes.length) box.append(h("p", { class: "soft" }, `Kept ${cell.kept} times in all, generated cases included, which are not listed.`));
    if (cell.verdict === "not exercised") {
      box.append(h("p", {}, `None of the ${counted(client.cases.length, "case")} that were played had to do with this rule.`));
      if (client.skipped.length) box.append(h("p", {}, "These were skipped, and may have:"), skippedList(client));
    }
    return box;
  }

  const skippedList = (client) => h("ul", { class: "rest" }, ...client.skipped.map(([why, names]) => h("li", {}, `${counted(names.length, "case")}, since ${why}: ${names.join(", ")}`)));

  const NOTHING = { verdict: "not exercised", findings: [], passes: [], kept: 0 };
  const cellOf = (rule, client) => client.cells[rule.id] || NOTHING;
  const worst = (rule) => Math.min(...clients.map((client) => WORST.indexOf(cellOf(rule, client).verdict)));

  function row(rule) {
    const first = one ? cellOf(rule, clients[0]) : null;
    const seen = first && first.findings.length ? h("span", { class: `seen ${tone(first.verdict)}` }, first.findings[0].message) : null;
    const line = h("tr", { class: "rule" }, h("th", { scope: "row" }, h("span", { class: "id" }, rule.id), h("span", { class: "says" }, rule.says), seen));
    line.dataset.worst = WORST[worst(rule)];
    const detail = h("tr", { class: "open", hidden: true, id: `detail-${rule.id}` }, h("td", { class: "detail", colspan: clients.length + 1 }));
    for (const [place, client] of clients.entries()) {
      const cell = cellOf(rule, client);
      const button = h("button", { type: "button", class: `verdict ${tone(cell.verdict)}`, "aria-expanded": "false", "aria-controls": detail.id, id: `cell-${rule.id}-${place}` },
        `${SIGNS[cell.verdict]} ${cell.verdict}`);
      const shown = cell.findings.length ? counted(cell.findings.length, "case") : cell.kept ? counted(cell.kept, "case") : "";
      if (shown) button.append(h("small", {}, shown));
      button.onclick = () => toggle(line, detail, button, () => panel(rule, client, cell));
      line.append(h("td", {}, button));
    }
    return [line, detail];
  }

  function toggle(line, detail, button, make) {
    const open = button.getAttribute("aria-expanded") === "true";
    for (const other of line.querySelectorAll("button")) other.setAttribute("aria-expanded", "false");
    detail.hidden = open;
    detail.firstChild.replaceChildren();
    if (open) return;
    button.setAttribute("aria-expanded", "true");
    detail.firstChild.append(make());
    try { history.replaceState(null, "", `#${button.id}`); } catch { /* some browsers forbid it to files */ }
  }

  const main = document.getElementById("report");
  main.replaceChildren(h("h1", {}, title),
    h("p", { class: "soft" }, "Is /v1/videos used and served as the pages say? Choose a verdict to see the exchanges behind it."),
    h("ul", { class: "clients" }, ...clients.map((client) => h("li", { class: tone(client.tone) },
      h("div", { class: "id" }, client.name), h("div", { class: "what" }, client.verdict), h("div", { class: "soft" }, client.sum),
      client.stopped ? h("div", { class: "violation what" }, `Stopped before its end: ${client.stopped}`) : null))));

  const only = h("input", { type: "checkbox", id: "only" });
  const table = h("table", { class: one ? "matrix" : "matrix many" },
    h("colgroup", {}, h("col", { class: "rule" }), ...clients.map(() => h("col", { class: "cell" }))),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Rule"), ...clients.map((client) => h("th", { scope: "col" }, one ? "Verdict" : client.name)))));
  for (const [severity, heading, meaning] of GROUPS) {
    const members = rules.filter((rule) => rule.severity === severity).sort((a, b) => worst(a) - worst(b));
    if (!members.length) continue;
    table.append(h("tbody", {}, h("tr", { class: "group" }, h("th", { colspan: clients.length + 1, scope: "rowgroup" },
      h("strong", {}, heading), " ", h("span", { class: "soft" }, meaning))), ...members.flatMap(row)));
  }
  only.onchange = () => {
    for (const line of table.querySelectorAll("tr.rule")) {
      line.hidden = only.checked && ["pass", "not exercised", "known"].includes(line.dataset.worst);
      if (line.hidden && !line.nextSibling.hidden) line.querySelector("[aria-expanded=true]").click();
    }
  };
  main.append(h("label", { class: "filter" }, only, "only what is broken"), h("div", { class: "scroll" }, table));

  for (const client of clients) {
    const name = one ? "" : ` \u00b7 ${client.name}`;
    if (client.stale.length) {
      main.append(h("h2", {}, `Stale known failures${name}`), h("p", {}, "These lines say that something is broken, and it is not any more: take them out."),
        h("ul", { class: "rest" }, ...client.stale.map((line) => h("li", {}, line))));
    }
    if (client.skipped.length) main.append(h("h2", {}, `Skipped${name}`), skippedList(client));
  }

  function openNamed() {
    const button = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!button || !button.matches("button.verdict")) return;
    if (button.getAttribute("aria-expanded") !== "true") button.click();
    button.focus({ preventScroll: true });
    button.scrollIntoView();
  }
  addEventListener("hashchange", openNamed);
  // On paper nothing can be chosen, so what is broken is open.
  addEventListener("beforeprint", () => {
    for (const line of table.querySelectorAll("tr.rule")) {
      if (["pass", "not exercised", "known"].includes(line.dataset.worst) || !line.nextSibling.hidden) continue;
      const wanted = [...line.querySelectorAll("button")].sort((a, b) => Number(a.matches(".pass, .not-exercised")) - Number(b.matches(".pass, .not-exercised")))[0];
      wanted.click();
    }
  });
  openNamed();
})();
