"use strict";
/* Choosing files and folders of the machine on which the server runs: nothing is uploaded. */

const ENDINGS = {
  acquisition: [".toml", ".npz", ".h5", ".hdf5"],
  field: [".npz"],
};

const files = {
  dialog: null, wanted: "", several: false, chosen: new Set(), listed: null, done: null, trigger: null,

  /** Ask for files of a kind; gives their paths, or null. */
  choose(wanted, title, several = false, start = "") {
    Object.assign(this, { wanted, several, chosen: new Set() });
    $("files-title").textContent = title;
    $("files-folder").hidden = wanted !== "images" && wanted !== "folder";
    $("files-all").checked = false;
    $("files-all").parentElement.hidden = !ENDINGS[wanted];
    this.dialog.showModal();
    this.open(start || about.home);
    return new Promise((done) => (this.done = done));
  },

  async open(path) {
    $("files-error").textContent = "";
    try {
      this.listed = await ask(address("folder", { path }));
    } catch (error) {
      $("files-error").textContent = error.message;
      return;
    }
    this.chosen.clear();
    $("files-path").value = this.listed.path;
    showEnd($("files-path"));
    $("files-up").disabled = !this.listed.parent;
    if (this.listed.chosen && this.wanted !== "folder") this.chosen.add(this.listed.chosen); // the path of a file was given
    this.show();
    ($("files-list").querySelector('[aria-pressed="true"]') || $("files-list").querySelector("button"))?.focus();
  },

  fits(entry) {
    const endings = ENDINGS[this.wanted];
    return entry.folder || $("files-all").checked || !endings ||
      endings.some((ending) => entry.name.toLowerCase().endsWith(ending));
  },

  show() {
    const { entries, left_out } = this.listed, fitting = entries.filter((entry) => this.fits(entry));
    const rows = fitting.map((entry) => el("li", {}, el("button", {
      type: "button", className: entry.folder ? "folder" : "file", textContent: entry.name + (entry.folder ? "/" : ""),
      "aria-pressed": entry.folder ? null : String(this.chosen.has(entry.path)),
      click: (event) => (entry.folder ? this.open(entry.path) : this.pick(entry.path, event.currentTarget)),
      dblclick: () => entry.folder || this.finish([entry.path]),
    })));
    $("files-list").replaceChildren(...rows);
    const hidden = entries.length - fitting.length, notes = [];
    if (!entries.length) notes.push("This folder is empty.");
    if (hidden) notes.push(`${hidden} files of other kinds are not shown.`);
    if (left_out) notes.push(`${left_out} more entries are not shown: give the path.`);
    $("files-note").textContent = notes.join(" ");
    $("files-choose").disabled = !this.chosen.size;
  },

  pick(path, button) {
    if (!this.several) {
      this.chosen.clear();
      for (const other of $("files-list").querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", "false");
    }
    const there = this.chosen.delete(path);
    if (!there) this.chosen.add(path);
    button.setAttribute("aria-pressed", String(!there));
    $("files-choose").disabled = !this.chosen.size;
  },

  finish(paths) {
    const done = this.done;
    this.done = null;
    this.dialog.close();
    done?.(paths);
  },
};

files.dialog = $("files");
files.dialog.addEventListener("close", () => files.finish(null));
addEventListener("hashchange", () => files.dialog.open && files.finish(null)); // of the Back button
$("files-up").addEventListener("click", () => files.open(files.listed.parent));
$("files-go").addEventListener("click", () => files.open($("files-path").value));
$("files-path").addEventListener("keydown", (event) => {
  if (event.key === "Enter") files.open($("files-path").value);
});
$("files-list").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], all = [...$("files-list").querySelectorAll("button")];
  if (!step) return;
  event.preventDefault();
  all[Math.min(Math.max(all.indexOf(document.activeElement) + step, 0), all.length - 1)]?.focus();
});
$("files-all").addEventListener("change", () => files.show());
$("files-folder").addEventListener("click", () => files.finish([files.listed.path]));
$("files-choose").addEventListener("click", () => files.finish([...files.chosen]));
$("files-cancel").addEventListener("click", () => files.finish(null));
