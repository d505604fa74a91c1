"use strict";
(() => {
  const { title, subjects, rules } = JSON.parse(document.getElementById("data").textContent);
  const SIGNS = { violation: "\u2717", warning: "!", info: "i", pass: "\u2713", "not counted": "~", "not exercised": "\u2013", "adapter error": "\u26a0" };
  const GROUPS = [
    [null, "ADAPTER", "The adapter failed, not your client. These cases say nothing about the client."],
    ["must", "MUST", "Must be fixed."],
    ["should", "SHOULD", "Should be fixed: breaking one of these costs money or time."],
    ["info", "INFO", "For your information: unconfirmed or harmless."],
  ];
  const WORST = ["adapter error", "violation", "warning", "info", "not counted", "pass", "not exercised"];
  const isSingle = subjects.length === 1;
  const { Command, Sequence, Wire, html } = modules["parts.js"];
  const { render, useState } = modules["vendor.js"];

  // A component of the dashboard, in an element of its own.
  function mount(component) {
    const box = document.createElement("div");
    render(component, box);
    return box;
  }

  // Strings only ever become text nodes, so nothing in a prompt is read as HTML.
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "onclick" || name === "ontoggle" || name === "onchange") element[name] = value;
      else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child != null && child !== ""));
    return element;
  }
  // The words of rules mark code with backticks.
  const rich = (text) => text.split(/`([^`]+)`/).map((part, place) => (place % 2 ? h("code", {}, part) : part));
  const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const tone = (verdict) => verdict.replace(" ", "-");

  function log(subject, entries, marks) {
    const body = h("tbody");
    let before = null;
    for (const [number, at, line] of entries) {
      if (before !== null && number > before + 1) {
        body.append(h("tr", {}, h("td", { class: "n" }, "\u2026"), h("td", {}), h("td", { class: "soft" }, `${number - before - 1} more omitted`)));
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
        h("th", { scope: "col" }, `request \u2192 ${subject.isServer ? "response" : "what the client received"}${marks.length ? " (\u25b6 marks the problem)" : ""}`))),
      body);
  }

  // The sequence of a finding; a click on a request opens its headers and bodies.
  function Picture({ exchanges, marks }) {
    const [open, setOpen] = useState(0);
    const opened = exchanges.find(({ summary }) => summary.number === open);
    return html`<${Sequence} exchanges=${exchanges.map(({ summary }) => summary)} marks=${marks} limit=${24} open=${(number) => setOpen(number === open ? 0 : number)} />
      ${opened ? html`<${Wire} messages=${opened.messages} />` : ""}`;
  }

  function facts(subject, number, finding) {
    const { call, scenario, log: entries, reported } = subject.cases[number];
    const list = h("dl");
    const add = (name, value, attributes) => {
      if (value && value.length !== 0) list.append(h("dt", {}, name), h("dd", attributes || {}, value));
    };
    if (finding) {
      if (finding.message) add("problem", finding.message, { class: "message" });
      if (finding.excuse) add("not counted", finding.excuse);
    }
    add("call", call.join("\n"), { class: "lines" });
    add("scenario", scenario.join("\n"), { class: "lines" });
    const exchanges = finding ? subject.traces[finding.trace] : [];
    if (exchanges.length) add("sequence", mount(html`<${Picture} exchanges=${exchanges} marks=${finding.marks} />`));
    add("exchanges", log(subject, entries, finding ? finding.marks : []));
    add("reported", reported);
    if (finding && finding.output) add("output", h("pre", {}, finding.output));
    if (finding) for (const [place, line] of finding.reproduce.entries()) add(place ? "" : "reproduce", mount(html`<${Command} text=${line} />`));
    return list;
  }

  // Its content is made when it is opened, since three hundred logs at once would make the page slow.
  function folded(title, fill, open) {
    const element = h("details", { open }, h("summary", {}, title));
    const filled = () => {
      if (element.open && element.childElementCount === 1) element.append(fill());
    };
    element.ontoggle = filled;
    filled();
    return element;
  }

  const caseTitle = (subject, number) => {
    const { name, description } = subject.cases[number];
    return description ? `${name} \u00b7 ${description}` : name;
  };

  function about(rule, rows) {
    const list = h("dl", {}, h("dt", {}, "rule"), h("dd", {}, ...rich(rule.description)));
    for (const [name, value, attributes] of rows) list.append(h("dt", {}, name), h("dd", attributes || {}, value));
    if (rule.advice) list.append(h("dt", {}, "fix"), h("dd", {}, ...rich(rule.advice)));
    list.append(h("dt", {}, "source"), h("dd", { class: "soft" }, ...rich(rule.source)));
    if (rule.page) list.append(h("dt", {}, "more"), h("dd", { class: "soft" }, `mockveo explain ${rule.id}, or ${rule.page}`));
    return list;
  }

  // Rules that the same exchanges of a case break.
  function problem(subject, place, group, open) {
    const badge = ({ id, verdict, severity }) => h("span", { class: `badge ${tone(verdict)}` }, `${SIGNS[verdict]} ${verdict}`, " ",
      h("span", { class: "id" }, id), severity ? ` (${severity.toUpperCase()})` : "");
    const [first] = group.rules;
    const element = h("details", { class: `problem ${tone(first.verdict)}`, open },
      h("summary", {}, ...group.rules.flatMap((rule) => [badge(rule), " "]), h("span", { class: "message" }, first.message)));
    for (const rule of group.rules) {
      const rows = [["problem", rule.message, { class: `message ${tone(rule.verdict)}` }]];
      if (rule.marks) rows.push(["shown by", `exchange ${rule.marks}`]);
      element.append(h("h3", {}, h("a", { href: `#cell-${rule.id}-${place}` }, rule.id)), about(rules.find(({ id }) => id === rule.id), rows));
    }
    element.append(h("h3", {}, caseTitle(subject, group.case)), facts(subject, group.case, group));
    if (group.others.length) element.append(h("p", { class: "soft" }, `Also in ${group.others.join(", ")}.`));
    return element;
  }

  function panel(rule, subject, cell) {
    const box = h("div", { class: `panel ${tone(cell.verdict)}` });
    box.append(h("h3", {}, `${rule.id} \u00b7 ${subject.title}`));
    box.append(about(rule, []));
    if (cell.findings.length) {
      const met = cell.findings.length + cell.passes.length;
      if (rule.severity) box.append(h("p", {}, `Broken in ${cell.findings.length} of the ${counted(met, "case")} that tested it; the shortest is open.`));
      for (const [place, finding] of cell.findings.entries()) {
        box.append(folded(caseTitle(subject, finding.case), () => facts(subject, finding.case, finding), place === 0));
      }
    }
    if (cell.passes.length) {
      const list = () => h("div", {}, ...cell.passes.map((number) => folded(caseTitle(subject, number), () => facts(subject, number, null))));
      box.append(folded(`Passed in ${counted(cell.passes.length, "case")}`, list, !cell.findings.length));
    }
    if (cell.passed > cell.passes.length) box.append(h("p", { class: "soft" }, `Passed ${cell.passed} times in all; generated cases are not listed.`));
    if (cell.verdict === "not exercised") {
      box.append(h("p", {}, `None of the ${counted(subject.cases.length, "case")} that were run tested this rule.`));
      if (subject.skipped.length) box.append(h("p", {}, "These cases were skipped and might test it:"), skippedList(subject));
    }
    return box;
  }

  const skippedList = (subject) => h("ul", { class: "rest" }, ...subject.skipped.map(([reason, names]) => h("li", {}, `${counted(names.length, "case")}: ${reason}: ${names.join(", ")}`)));

  // A rule for clients has no cell for a server, and the other way round.
  const cellsOf = (rule) => subjects.map((subject) => subject.cells[rule.id]);
  const worst = (rule) => Math.min(...cellsOf(rule).filter(Boolean).map((cell) => WORST.indexOf(cell.verdict)));

  function row(rule) {
    const first = isSingle ? subjects[0].cells[rule.id] : null;
    const message = first && first.findings.length ? h("span", { class: `message ${tone(first.verdict)}` }, first.findings[0].message) : null;
    const line = h("tr", { class: "rule" }, h("th", { scope: "row" }, h("span", { class: "id" }, rule.id), h("span", { class: "description" }, ...rich(rule.description)), message));
    line.dataset.worst = WORST[worst(rule)];
    const detail = h("tr", { class: "open", hidden: true, id: `detail-${rule.id}` }, h("td", { class: "detail", colspan: subjects.length + 1 }));
    for (const [place, subject] of subjects.entries()) {
      const cell = subject.cells[rule.id];
      if (!cell) {
        line.append(h("td", {}));
        continue;
      }
      const button = h("button", { type: "button", class: `verdict ${tone(cell.verdict)}`, "aria-expanded": "false", "aria-controls": detail.id, id: `cell-${rule.id}-${place}` },
        `${SIGNS[cell.verdict]} ${cell.verdict}`);
      const shown = cell.findings.length ? counted(cell.findings.length, "case") : cell.passed ? counted(cell.passed, "case") : "";
      if (shown) button.append(h("small", {}, shown));
      button.onclick = () => toggle(line, detail, button, () => panel(rule, subject, cell));
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
    try { history.replaceState(null, "", `#${button.id}`); } catch { /* some browsers forbid it for files */ }
  }

  const main = document.getElementById("report");
  main.replaceChildren(h("h1", {}, title),
    h("p", { class: "soft" }, "Does each client and server follow the contract of /v1/videos? Click a verdict to see the exchanges behind it."),
    h("ul", { class: "subjects" }, ...subjects.map((subject) => h("li", { class: tone(subject.tone) },
      h("div", { class: "id" }, subject.title), h("div", { class: "what" }, subject.result), h("div", { class: "soft" }, subject.scope),
      h("div", { class: "soft" }, subject.about.join(" \u00b7 ")), subject.command ? mount(html`<${Command} text=${subject.command} />`) : null,
      subject.aborted ? h("div", { class: "violation what" }, `Aborted: ${subject.aborted}`) : null))));

  for (const [place, subject] of subjects.entries()) {
    if (!subject.problems.length) continue;
    main.append(h("h2", {}, `Problems${isSingle ? "" : ` \u00b7 ${subject.title}`}`),
      ...subject.problems.map((group, number) => problem(subject, place, group, number === 0 && isSingle)));
  }

  const UNBROKEN = ["info", "not counted", "pass", "not exercised"];
  const only = h("input", { type: "checkbox", id: "only" });
  const table = h("table", { class: isSingle ? "matrix" : "matrix many" },
    h("colgroup", {}, h("col", { class: "rule" }), ...subjects.map(() => h("col", { class: "cell" }))),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Rule"), ...subjects.map((subject) => h("th", { scope: "col" }, isSingle ? "Verdict" : subject.title)))));
  for (const [severity, heading, meaning] of GROUPS) {
    const members = rules.filter((rule) => rule.severity === severity).sort((a, b) => worst(a) - worst(b));
    if (!members.length) continue;
    table.append(h("tbody", {}, h("tr", { class: "group" }, h("th", { colspan: subjects.length + 1, scope: "rowgroup" },
      h("strong", {}, heading), " ", h("span", { class: "soft" }, meaning))), ...members.flatMap(row)));
  }
  const filter = () => {
    for (const line of table.querySelectorAll("tr.rule")) {
      line.hidden = only.checked && UNBROKEN.includes(line.dataset.worst);
      if (line.hidden && !line.nextSibling.hidden) line.querySelector("[aria-expanded=true]").click();
    }
  };
  only.onchange = filter;
  // What is broken comes first; what passed is a click away.
  only.checked = rules.some((rule) => !UNBROKEN.includes(WORST[worst(rule)]));
  filter();
  main.append(h("h2", {}, "All rules"), h("label", { class: "filter" }, only, "only broken rules"), h("div", { class: "scroll" }, table));

  for (const subject of subjects) {
    const name = isSingle ? "" : ` \u00b7 ${subject.title}`;
    if (subject.remarks.length) {
      main.append(h("h2", {}, `What no case shows${name}`),
        h("ul", { class: "rest" }, ...subject.remarks.map((line) => h("li", {}, line))));
    }
    if (subject.skipped.length) main.append(h("h2", {}, `Skipped${name}`), skippedList(subject));
    if (subject.notes.length) main.append(h("h2", {}, `Notes${name}`), h("ul", { class: "rest" }, ...subject.notes.map((note) => h("li", {}, note))));
  }

  function openNamed() {
    const button = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!button || !button.matches("button.verdict")) return;
    if (button.closest("tr").hidden) {
      only.checked = false;
      filter();
    }
    if (button.getAttribute("aria-expanded") !== "true") button.click();
    button.focus({ preventScroll: true });
    button.scrollIntoView();
  }
  addEventListener("hashchange", openNamed);
  // Paper cannot be clicked, so problems are opened for it.
  addEventListener("beforeprint", () => {
    for (const element of main.querySelectorAll(".problem")) element.open = true;
  });
  openNamed();
})();
