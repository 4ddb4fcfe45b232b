"use strict";
/* The form of a command, its command line, and its start. */

let lastId = 0; // of labels and their fields

/** A field for one parameter, with its label and its help. */
function fieldOf(parameter, value, changed) {
  const id = `field-${++lastId}`, help = `${id}-help`;
  const common = { id, "aria-describedby": parameter.help ? help : null };
  let input;
  if (parameter.kind === "flag")
    input = el("input", { ...common, type: "checkbox", checked: value === true, change: changed });
  else if (parameter.kind === "choice")
    input = el("select", { ...common, change: changed },
      ...[parameter.default ? null : "", ...parameter.choices].filter((choice) => choice !== null)
        .map((choice) => el("option", { value: choice, textContent: choice || "default" })));
  else
    input = el("input", {
      ...common, spellcheck: false, autocomplete: "off", required: parameter.required,
      placeholder: parameter.default || parameter.hint, input: changed,
    });
  if (parameter.kind !== "flag") input.value = value || (parameter.kind === "choice" ? parameter.default : "");
  if (parameter.file) {
    showEnd(input);
    input.addEventListener("blur", () => showEnd(input));
  }
  const words = `${parameter.label}${parameter.required ? " (needed)" : ""}`;
  const box = el("div", { className: `field ${parameter.kind}` },
    el("label", { htmlFor: id, textContent: words }), el("div", { className: "line" }, input, browser(parameter, input)));
  if (parameter.help) box.append(el("p", { id: help, className: "note", textContent: parameter.help }));
  const read = () => {
    if (parameter.kind === "flag") return input.checked;
    const text = input.value.trim();
    if (parameter.kind === "choice" && text === parameter.default) return "";
    return parameter.several ? text.split("\n").map((one) => one.trim()).filter(Boolean) : text;
  };
  const write = (text) => (input.value = text);
  return { parameter, box, input, read, write };
}

/** The button that chooses a file for a field; none where it is no file to read. */
function browser(parameter, input) {
  if (!parameter.file || parameter.file === "output") return null;
  const title = `Choose ${parameter.file === "file" ? "a file" : `the ${parameter.file}`}`;
  return el("button", {
    type: "button", textContent: "Browse", "aria-label": title,
    click: async (event) => {
      const button = event.currentTarget, paths = await files.choose(parameter.file, title, false, folderOf(input.value));
      if (paths) {
        input.value = paths[0];
        showEnd(input);
        input.dispatchEvent(new Event("input", { bubbles: true }));
      }
      button.focus();
    },
  });
}

/** The command line of a form, with a button that copies it. */
function lineBox() {
  const code = el("code", { textContent: "" });
  const copy = el("button", {
    type: "button", textContent: "Copy",
    click: async () => {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    },
  });
  const box = el("div", { className: "shell", role: "group", "aria-label": "The same in a shell" }, code, copy);
  const words = (line) => line.split(/(?<= )/).map((word) => el("span", { textContent: word })); // not broken at hyphens
  return { box, show: (line) => line === code.textContent || code.replaceChildren(...words(line)) };
}

/** A whole form: what it asks for, its command line, and its button; filled in with what was typed, or used, last. */
function formOf(command, given, used, started) {
  const form = about.forms[command], store = `form:${command}:${Object.values(given).join(":")}`;
  const typed = kept.read(store), before = Object.keys(typed).length ? typed : used, error = el("p", { className: "error", role: "alert" }), shell = lineBox();
  const values = () => Object.fromEntries(fields.map((one) => [one.parameter.name, one.read()]));
  const changed = () => {
    kept.write(store, values());
    error.textContent = ""; // here alone: an answer that comes late must not hide what a start was answered
    showLine();
  };
  const showLine = settled(async () => {
    try {
      shell.show((await ask("line", { command, values: values() })).line);
    } catch (why) {
      error.textContent = why.message;
    }
  });
  const first = Object.values(given)[0] || "";
  const output = first ? form.output.replace("{folder}", folderOf(first)).replace("{stem}", stemOf(first))
    .replace("{ending}", first.endsWith(".toml") ? ".toml" : ".npz") : ""; // what an .h5 becomes is an .npz
  const fields = form.parameters.map((parameter) => {
    const usual = given[parameter.name] || (parameter.name === "output" ? output : "");
    return fieldOf(parameter, before[parameter.name] ?? usual, changed);
  });
  const shown = fields.filter((one) => one.parameter.first), others = fields.filter((one) => !one.parameter.first);
  const start = el("button", { type: "submit", className: "main", textContent: form.title });
  const made = el("form", {
    noValidate: true, "aria-label": form.title,
    submit: async (event) => {
      event.preventDefault();
      start.disabled = true;
      try {
        const id = await ask("start", { command, values: values() });
        error.textContent = "";
        started(id);
      } catch (why) {
        error.textContent = why.message;
      }
      start.disabled = false;
    },
  }, el("p", { className: "says", textContent: form.says }), ...shown.map((one) => one.box));
  if (others.length)
    made.append(el("details", {}, el("summary", { textContent: "More options" }), ...others.map((one) => one.box)));
  made.append(el("div", { className: "foot" }, shell.box, error, el("div", { className: "line" }, start)));
  showLine();
  return made;
}
