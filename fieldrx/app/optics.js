"use strict";
/* Images with the directions of their light, and the file that describes them. */

/** A point of the page per source, in the pupil's plane: y runs downwards, as on the image. */
function pupilOf(facts, choose) {
  const reach = 1.1 * Math.max(facts.aperture, ...facts.sources.map(([y, x]) => Math.hypot(y, x)));
  const scale = 100 / reach, owner = new Map();
  facts.lit.forEach((sources, image) => sources.forEach((source) => owner.has(source) || owner.set(source, image)));
  const size = Math.max(1.3, Math.min(3.4, 26 / Math.sqrt(facts.sources.length)));
  const dots = facts.sources.map(([y, x], k) => el("circle", {
    cx: x * scale, cy: y * scale, r: size, class: facts.bright[k] ? "bright" : "dark",
    click: () => owner.has(k) && choose(owner.get(k)),
  }));
  const picture = el("svg", {
    viewBox: "-104 -104 208 208", class: "pupil", role: "img",
    "aria-label": `Directions of the light: ${facts.sources.length} sources, aperture ${short(facts.aperture)}`,
  },
  el("line", { x1: -100, x2: 100, y1: 0, y2: 0, class: "rule" }), el("line", { y1: -100, y2: 100, x1: 0, x2: 0, class: "rule" }),
  el("circle", { cx: 0, cy: 0, r: facts.aperture * scale, class: "aperture" }), ...dots);
  const mark = (image) => {
    const lit = new Set(facts.lit[image] || []);
    dots.forEach((dot, k) => dot.classList.toggle("lit", lit.has(k)));
  };
  return { picture, mark };
}

/** Images one at a time: `look` gives the address of one, `words` is asked what to say of the one that is shown. */
function slidesOf(count, look, words = () => "") {
  const picture = el("img", { className: "image", alt: "Image 0" }), caption = el("p", { className: "note", "aria-live": "polite" });
  const id = `slides-${++lastId}`;
  const slider = el("input", { type: "range", min: 0, max: Math.max(count - 1, 0), value: 0, id, input: () => show(Number(slider.value)) });
  const show = async (image) => {
    slider.value = image;
    caption.textContent = `Image ${image} (${image + 1} of ${count})${words(image)}`;
    const source = await look(image);
    if (Number(slider.value) === image) Object.assign(picture, { src: source, alt: `Image ${image}` });
  };
  const box = el("figure", {}, picture, el("label", { htmlFor: id, className: "unseen", textContent: "Number of the image" }), slider, caption);
  return { box, show };
}

/** An acquisition: image by image, with directions and facts. */
function acquisitionView(path) {
  const box = el("div", { className: "acquisition" }, el("p", { className: "note", textContent: "Reading the images …" }));
  (async () => {
    let facts;
    try {
      facts = await ask(address("acquisition", { path }));
    } catch (error) {
      return box.replaceChildren(el("p", { className: "error", role: "alert", textContent: error.message }));
    }
    const words = (image) => {
      const [y, x] = facts.sources[facts.lit[image][0]] ?? [0, 0], more = facts.lit[image].length - 1;
      pupil.mark(image);
      return `, light along NA y ${short(y)}, NA x ${short(x)}${more > 0 ? ` and ${more} more` : ""}` +
        `${facts.holdout.includes(image) ? ", held out" : ""}${facts.usable[image] ? "" : ", not lit inside the aperture"}`;
    };
    const slides = slidesOf(facts.n_images, (image) => address("image", { path, n: image }), words);
    const pupil = pupilOf(facts, slides.show);
    const seen = facts.n_images ? slides.box : el("p", { textContent: "The acquisition names optics alone, no images." });
    const light = el("figure", {}, pupil.picture, el("figcaption", { className: "note",
      textContent: `Directions of the light; the circle is the aperture, NA ${short(facts.aperture)}. Click one to see its image.` }));
    const rows = facts.rows.filter(([name]) => name !== "note");
    const notes = facts.rows.filter(([name]) => name === "note");
    box.replaceChildren(el("div", { className: "pair" }, seen, light),
      el("table", { className: "facts" }, el("tbody", {}, ...rows.map(([name, text]) => el("tr", {}, el("th", { scope: "row", textContent: name }), el("td", { textContent: text }))))),
      notes.length ? el("ul", { className: "notes", "aria-label": "Notes" }, ...notes.map(([, text]) => el("li", { textContent: text }))) : "");
    if (facts.n_images) slides.show(0);
  })();
  return box;
}

/** What was typed, or else used by the last job: values of keys, more keys, the file to write, whether it is replaced. */
function draftKept(store, used) {
  const typed = kept.read(store), pairs = used.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]);
  return typed.keys ? typed : { keys: Object.fromEntries(pairs), more: "", output: "" };
}

/** Keys that `fieldrx new` found, to be corrected and filled in. */
function draftView(images, used, started) {
  const store = `draft:${images.join("\n")}`, box = el("div", {}, el("p", { className: "note", textContent: "Looking at the files …" }));
  const error = el("p", { className: "error", role: "alert" }), shell = lineBox(), typed = draftKept(store, used);
  const rows = el("div", { className: "keys" }), layout = el("p", { className: "says" }), seen = el("div", { className: "seen" });
  const lacking = el("p", { className: "note", role: "status" }), there = el("p", { className: "note", id: "draft-there" });
  const more = el("input", { id: "more-keys", spellcheck: false, value: typed.more, placeholder: "exposure=[1, 1, 4]",
    input: () => changed(() => (typed.more = more.value)) });
  const output = el("input", { id: "draft-output", spellcheck: false, value: typed.output, "aria-describedby": "draft-there",
    input: () => changed(() => (typed.output = output.value)), blur: () => showEnd(output) });
  const overwrite = el("input", { id: "draft-overwrite", type: "checkbox",
    change: () => changed(() => (typed.overwrite = overwrite.checked)) });
  const start = el("button", { type: "submit", className: "main", textContent: about.forms.new.title, disabled: true });
  const settings = () => [...Object.entries(typed.keys).map(([key, text]) => `${key}=${text}`), ...(typed.more.trim() ? [typed.more] : [])];
  const asked = (more = {}) => ({ paths: images, settings: settings(), target: typed.output, ...more });
  const values = () => ({ paths: images, output: output.value, overwrite: overwrite.checked, settings: settings() });
  let order = 0, looked = "";

  const showLine = async () => {
    try {
      shell.show((await ask("line", { command: "new", values: values() })).line);
    } catch (why) {
      error.textContent = why.message;
    }
  };
  const changed = (keep) => {
    keep();
    kept.write(store, typed);
    error.textContent = ""; // here alone: an answer that comes late must not hide what a start was answered
    refreshSoon();
  };
  const typedKey = (key, text) => changed(() => (text.trim() ? (typed.keys[key] = text) : delete typed.keys[key]));

  /** Fields stay while one types in them: only what has changed is made anew. */
  const draw = (draft) => {
    layout.textContent = `Recognised: ${draft.layout}`;
    if (!output.value) output.value = draft.target;
    if (document.activeElement !== output) showEnd(output);
    overwrite.checked = typed.overwrite ?? draft.own;
    there.textContent = !draft.there ? "" : draft.own ? "It was written here, and is replaced." : overwrite.checked ? "It is there, and is replaced."
      : "It is there already: overwrite it, or choose another name.";
    const wanted = draft.keys.map((key) => `${key.table}.${key.name}`.replace(/^\./, ""));
    const drawn = [...rows.children].map((row) => row.dataset.key);
    if (wanted.join() !== drawn.join()) {
      const focused = document.activeElement?.closest?.("[data-key]")?.dataset.key;
      rows.replaceChildren(...draft.keys.map((key, k) => {
        const id = `key-${++lastId}`;
        return el("div", { className: "field", "data-key": wanted[k] },
          el("label", { htmlFor: id, textContent: key.label, title: key.name }),
          el("input", { id, spellcheck: false, autocomplete: "off", "aria-describedby": `${id}-note`,
            input: (event) => typedKey(wanted[k], event.currentTarget.value) }),
          el("p", { className: "note", id: `${id}-note` }));
      }));
      rows.querySelector(`[data-key="${focused}"] input`)?.focus();
    }
    draft.keys.forEach((key, k) => {
      const row = rows.children[k], input = row.querySelector("input");
      if (document.activeElement !== input) input.value = typed.keys[wanted[k]] ?? key.value ?? "";
      row.classList.toggle("missing", key.value === null);
      row.querySelector(".note").textContent = key.value === null ? `needed: ${key.comment}` : key.comment;
    });
    const missing = draft.keys.filter((key) => key.value === null).map((key) => key.label);
    if (draft.wrong) error.textContent = draft.wrong;
    lacking.textContent = missing.length ? `Still needed: ${missing.join(", ")}.` : draft.wrong ? "" : "All that is needed is there.";
    start.disabled = missing.length > 0 || draft.wrong !== "";
  };

  /** The images as they are stored, as soon as their files are known. */
  const showImages = async (draft) => {
    const now = draft.keys.filter((key) => key.table === "images").map((key) => `${key.name}=${key.value}`).join("\n");
    if (now === looked) return;
    looked = now;
    try {
      const look = (n) => ask("preview", asked({ n })), { count } = await look(0);
      const slides = slidesOf(count, async (n) => `data:image/png;base64,${(await look(n)).png}`);
      seen.replaceChildren(...(count ? [slides.box] : []));
      if (count) slides.show(0);
    } catch (why) {
      seen.replaceChildren(el("p", { className: "note", textContent: why.message }));
    }
  };

  const refresh = async () => {
    const mine = ++order;
    try {
      const draft = await ask("draft", asked());
      if (mine === order) {
        draw(draft);
        showImages(draft);
      }
    } catch (why) {
      if (mine === order) {
        error.textContent = why.message;
        start.disabled = true;
        lacking.textContent = "";
        if (!rows.children.length) {
          form.replaceChildren(el("p", { textContent: "No images of a known layout are there." }), error,
            el("div", { className: "line" }, imagesChooser("Choose other images")));
        }
      }
    }
    showLine();
  };
  const refreshSoon = settled(refresh, 250);

  const form = el("form", {
    noValidate: true, "aria-label": "Describe the images",
    submit: async (event) => {
      event.preventDefault();
      if (start.disabled) return; // the Enter key
      try {
        const id = await ask("start", { command: "new", values: values() });
        error.textContent = "";
        started(id);
      } catch (why) {
        error.textContent = why.message;
      }
    },
  }, layout, el("div", { className: "drafted" }, seen, rows),
  el("div", { className: "field" }, el("label", { htmlFor: "more-keys", textContent: "Another key" }), more,
    el("p", { className: "note", textContent: "KEY=VALUE, any key of an acquisition.toml." })),
  el("div", { className: "field" }, el("label", { htmlFor: "draft-output", textContent: "Output" }), output, there),
  el("div", { className: "field flag" }, el("label", { htmlFor: "draft-overwrite", textContent: "Overwrite files that are there" }), overwrite),
  el("div", { className: "foot" }, shell.box, error, el("div", { className: "line wrap" }, start, lacking)));
  refresh().then(() => box.replaceChildren(form));
  return { box, refresh };
}

/** An acquisition.toml as text. */
function textView(path) {
  const box = el("div"), error = el("p", { className: "error", role: "alert" }), said = el("p", { className: "note", role: "status" });
  const area = el("textarea", { id: "toml", spellcheck: false, rows: 22, input: () => (said.textContent = "Not saved yet.") });
  let version = "";
  const store = `text:${path}`;
  area.addEventListener("input", () => kept.write(store, { text: area.value, version }));
  const open = async (anew) => {
    try {
      const found = await ask(address("text", { path }));
      const typed = anew ? {} : kept.read(store);
      if (anew) kept.drop(store);
      version = typed.version || found.version;
      area.value = typed.text ?? found.text;
      said.textContent = typed.text && typed.text !== found.text ? "Not saved yet." : "";
      error.textContent = "";
    } catch (why) {
      error.textContent = why.message;
    }
  };
  const save = async () => {
    try {
      version = (await ask("save", { path, text: area.value, version })).version;
      kept.drop(store);
      error.textContent = "";
      said.textContent = "Saved; reading it …";
      await ask(address("acquisition", { path }));
      said.textContent = "Saved, and it makes sense.";
    } catch (why) {
      error.textContent = why.message;
      if (said.textContent.startsWith("Saved")) said.textContent = "Saved.";
    }
  };
  box.append(el("label", { htmlFor: "toml", textContent: path }), area, said, error,
    el("div", { className: "line" }, el("button", { type: "button", className: "main", textContent: "Save", click: save }),
      el("button", { type: "button", textContent: "Open again", click: () => open(true) })));
  open(false);
  return box;
}
