"use strict";
/* Commands at work: progress, the field as it sharpens, what came out. */

const WORDS = { 0: "done", 1: "failed", 2: "refused", 3: "found nothing", 75: "stopped" };
const wordOf = (job) => (job.runs ? (job.stops ? "stopping" : "at work")
  : WORDS[job.status] ?? (job.status === null && !job.stops ? "killed" : "stopped"));
const ABOUT = {
  failed: "It failed.", refused: "The command refused this.", stopped: "It was stopped.",
  killed: "It was killed: by the system for its memory, or as the machine went down.",
  "at work": "At work.", done: "Done.",
  "found nothing": "It has ended, with nothing better than an empty sample or the closed form.",
};
const SHOWN = /\.(html|png|gif|csv)$/;

/** The errors of a fit over its steps, on a logarithmic scale. */
function chartOf(lines) {
  const width = 620, height = 190, left = 46, bottom = 24, top = 8;
  const known = lines.flatMap((line) => [line.error, line.holdout]).filter((value) => value > 0);
  if (known.length < 2) return el("div");
  const [low, high] = [Math.log(Math.min(...known) * 0.95), Math.log(Math.max(...known) * 1.05)];
  const total = lines.at(-1).total;
  const x = (done) => left + (done / total) * (width - left - 8);
  const y = (value) => top + ((high - Math.log(value)) / (high - low)) * (height - top - bottom);
  const line = (name, colour) => {
    const points = lines.filter((one) => one[name] > 0).map((one) => `${x(one.done).toFixed(1)},${y(one[name]).toFixed(1)}`);
    return el("polyline", { points: points.join(" "), fill: "none", stroke: colour, "stroke-width": 2 });
  };
  const last = lines.at(-1), ticks = [Math.exp(low), Math.exp((low + high) / 2), Math.exp(high)];
  return el("div", { className: "chart" },
    el("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `Relative errors up to step ${last.done} of ${last.total}: images ${short(last.error)}, held out ${short(last.holdout)}`,
    },
    ...ticks.flatMap((value) => [
      el("line", { x1: left, x2: width - 8, y1: y(value), y2: y(value), class: "rule" }),
      el("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    ]),
    el("text", { x: left, y: height - 6 }, "0"),
    el("text", { x: width - 8, y: height - 6, "text-anchor": "end" }, String(Math.round(total))),
    line("error", "var(--y)"), line("holdout", "var(--z)")),
    el("p", { className: "legend" },
      el("span", { className: "of-images", textContent: "images of the step" }),
      el("span", { className: "of-held", textContent: "held out, the lowest so far" })));
}

/** A job with all that is known of it, looked at again as long as it runs. */
class JobView {
  constructor(id, ended = () => {}) {
    Object.assign(this, { id, ended, after: 0, lines: [], pictures: -1, opened: "", looked: 0, gone: false, deaf: 0 });
    this.box = el("section", { className: "job", "aria-label": "Work" });
    this.state = el("p", { className: "state", role: "status", tabIndex: -1 });
    this.verdict = el("p", { className: "verdict" });
    this.stage = el("p", { className: "stage" });
    this.told = el("p", { className: "note" });
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.stop = el("button", { type: "button", textContent: "Stop", hidden: true, click: () => this.askToStop() });
    this.error = el("p", { className: "error", role: "alert" });
    this.chart = el("div");
    this.planes = el("img", { className: "planes", alt: "The central planes of the best field so far", hidden: true });
    this.results = el("div", { className: "results" });
    this.shown = el("div", { className: "shown" });
    this.printed = el("pre", { tabIndex: 0, "aria-label": "What it printed" });
    this.shell = lineBox();
    // what grows stands below the button, which must not move under a pointer
    this.box.append(this.shell.box, el("div", { className: "line ends" }, this.state, el("span"), this.stop), this.verdict,
      this.error, this.stage, this.told, this.bar,
      el("div", { className: "watch" }, this.chart, this.planes), this.results, this.shown,
      el("details", {}, el("summary", { textContent: "What it printed" }), this.printed));
    this.known = this.look();
  }

  /** Give the focus to how it stands, and bring that with what follows into view. */
  async comeForth() {
    this.state.focus({ preventScroll: true });
    await this.known;
    const { top } = this.box.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 3) this.box.scrollIntoView({ block: "start" });
  }

  async look() {
    try {
      this.show(await ask(address("job", { id: this.id, after: this.after })));
      trouble(null);
    } catch (error) {
      if (error.message.startsWith("there is no job")) return this.box.replaceChildren(el("p", { textContent: error.message }));
      trouble(error);
    }
    this.gone = this.looked > 1 && !this.box.isConnected; // another step is shown
    this.looked++;
    if (!this.gone && this.job?.runs !== false) setTimeout(() => this.look(), 1000);
  }

  async askToStop() {
    if (Date.now() < this.deaf) return; // a double click is one wish
    this.deaf = Date.now() + 1000;
    try {
      await ask("stop", { id: this.id });
      this.error.textContent = "";
    } catch (error) {
      this.error.textContent = error.message;
    }
    this.look();
  }

  show(job) {
    const before = this.job;
    this.job = job;
    this.after = job.after;
    this.shell.show(job.line);
    for (const line of job.progress) {
      if (line.stage !== this.lines.at(-1)?.stage) this.lines = [];
      this.lines.push(line);
    }
    const word = wordOf(job), fit = about.forms[job.command].again ? "the fit" : "it";
    const said = word !== "stopping" ? ABOUT[word]
      : job.stops > 1 ? "Stopping at once." : `Stopping: ${fit} ends after its present piece of work.`;
    if (this.state.textContent !== said) this.state.textContent = said;
    this.box.dataset.state = word;
    this.box.classList.toggle("doubtful", !!job.verdict && !job.verdict.good);
    this.verdict.textContent = job.verdict?.words || "";
    this.stop.hidden = !job.runs;
    this.stop.textContent = job.stops ? "Stop at once" : "Stop";
    this.bar.hidden = !job.runs;
    this.progress(job);
    this.told.textContent = job.told;
    this.printed.textContent = [job.stdout, job.stderr].filter(Boolean).join("\n");
    if (job.error) this.error.textContent = job.error;
    if (!job.runs && before?.runs !== false) {
      this.finish(job);
      this.ended();
    }
  }

  progress(job) {
    const last = this.lines.at(-1), since = job.runs ? ` · ${lengthOf(Date.now() / 1000 - job.began)}` : "";
    if (!last) {
      this.stage.textContent = job.runs ? `Beginning; the first time it compiles for this machine, once${since}` : "";
      this.bar.removeAttribute("value");
      return;
    }
    const errors = last.error === null ? "" : ` · error ${short(last.error)}` + (last.holdout ? ` · held out ${short(last.holdout)}` : "");
    const whole = last.done >= last.total;
    const pieces = whole ? "is done, the next piece of work is prepared" : `${Math.round(last.done)} of ${Math.round(last.total)}`;
    this.stage.textContent = job.runs ? `${last.stage} ${pieces}${errors}${since}` : "";
    if (whole) this.bar.removeAttribute("value");
    else this.bar.value = last.done / last.total;
    if (last.stage.endsWith("fit")) this.chart.replaceChildren(chartOf(this.lines)); // others have errors of another kind
    if (job.picture && last.pictures !== this.pictures) {
      this.pictures = last.pictures;
      this.planes.src = address("planes", { id: this.id, count: last.pictures });
      this.planes.hidden = false;
    }
  }

  /** What an ended job leaves, and what to do with it; the main result is shown at once. */
  finish(job) {
    const form = about.forms[job.command], buttons = [];
    if (form.again && wordOf(job) !== "done" && wordOf(job) !== "refused")
      buttons.push(el("button", { type: "button", textContent: "Go on", click: () => this.again() }));
    for (const path of job.outputs) {
      const use = useOf(job, path);
      if (use) buttons.push(el("a", { className: "button", href: place.link({ ...use.to, job: "" }), textContent: use.words }));
      if (SHOWN.test(path))
        buttons.push(el("button", { type: "button", textContent: `Show ${nameOf(path)}`, click: async () => {
          await this.open(path);
          this.shown.scrollIntoView({ block: "nearest" });
        } }));
    }
    const list = job.outputs.length ? el("ul", { className: "written" }, ...job.outputs.map((path) => el("li", { textContent: near(path) }))) : null;
    const said = [job.command === "calibrate" ? job.stderr : "", job.stdout].join("\n").trim(); // its findings are notes
    const summary = job.command === "evaluate" && job.status === 0 ? numbersOf(job.stdout)
      : said ? el("pre", { className: "summary", tabIndex: 0, "aria-label": "Summary", textContent: said }) : null;
    this.results.replaceChildren(...[summary, buttons.length ? el("div", { className: "line wrap" }, ...buttons) : null, list].filter(Boolean));
    const showing = /^(view|measure|calibrate|new|report|render)$/.test(job.command) ? [".html", ".png", ".gif", ".csv"] : [];
    const main = showing.map((ending) => job.outputs.find((path) => path.endsWith(ending))).find(Boolean);
    if (main && job.status === 0) this.open(main);
  }

  async again() {
    try {
      place.to({ job: await ask("again", { id: this.id }) });
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  async open(path) {
    if (this.opened === path) return;
    this.opened = path;
    const source = address("output", { id: this.id, path });
    this.box.closest(".halves")?.classList.toggle("wide", path.endsWith(".html")); // a page needs the whole width
    if (path.endsWith(".csv")) {
      const [names, ...rows] = await ask(address("table", { id: this.id, path }));
      const cell = (text) => (text !== "" && Number.isFinite(Number(text)) ? String(Number(Number(text).toPrecision(5))) : text);
      this.shown.replaceChildren(el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": nameOf(path) },
        el("table", {}, el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col", textContent: name })))),
          el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((text) => el("td", { textContent: cell(text) }))))))));
    } else if (path.endsWith(".html"))
      this.shown.replaceChildren(el("iframe", { src: source, title: nameOf(path) }));
    else this.shown.replaceChildren(el("img", { src: source, alt: nameOf(path) }));
  }
}

/** The numbers of an evaluation, rounded; lists and all digits below. */
function numbersOf(text) {
  const numbers = Object.entries(JSON.parse(text)).filter(([, value]) => /^(number|string)$/.test(typeof value));
  const rows = numbers.map(([name, value]) => el("tr", {}, el("th", { scope: "row", textContent: name.replaceAll("_", " ") }),
    el("td", { textContent: typeof value === "number" && !Number.isInteger(value) ? short(value) : value })));
  return el("div", {}, el("table", { className: "facts" }, el("tbody", {}, ...rows)),
    el("details", {}, el("summary", { textContent: "All of it, as JSON" }), el("pre", { tabIndex: 0, "aria-label": "All of it, as JSON", textContent: text })));
}

/** A time in words. */
const lengthOf = (seconds) => (seconds < 100 ? `${Math.round(seconds)} s` : seconds < 6000 ? `${Math.round(seconds / 60)} min`
  : `${(seconds / 3600).toFixed(1)} h`);

/** What a file that a job wrote is good for. */
function useOf(job, path) {
  const made = job.command, whole = path.endsWith(".npz") && !path.endsWith(".checkpoint.npz");
  if ((made === "new" || made === "calibrate") && job.status === 0 && path === job.outputs[0])
    return { words: "Go on with this acquisition", to: { acq: path, step: made === "new" ? "images" : "fit", images: "" } };
  if (made === "run" && nameOf(path) === "acquisition.npz") return null;
  if (whole && /^(run|reconstruct|compress|ensemble)$/.test(made))
    return { words: made === "ensemble" ? "Measure with error bars" : `Look at ${nameOf(path)}`,
      to: { field: path, step: made === "ensemble" ? "measure" : "result" } };
  return null;
}

/** The table of all jobs. */
async function jobsList(box) {
  let jobs;
  try {
    jobs = await ask("jobs");
  } catch (error) {
    return trouble(error);
  }
  const rows = jobs.map((job) => el("li", {},
    el("a", { href: place.link({ step: stepOf(job.command), job: job.id, [`${stepOf(job.command)}-command`]: job.command }) },
      el("span", { className: `badge ${wordOf(job).replace(" ", "-")}`, textContent: wordOf(job) }), el("code", { textContent: job.line })),
    el("span", { className: "note", textContent: new Date(job.began * 1000).toLocaleString() }),
    job.runs ? null : el("button", {
      type: "button", textContent: "Remove", "aria-label": `Remove ${job.line} from this list`,
      click: async () => {
        await ask("forget", { id: job.id }).catch(trouble);
        jobsList(box);
      },
    })));
  box.replaceChildren(jobs.length ? el("ul", { className: "jobs" }, ...rows) : el("p", { textContent: "Nothing was started yet." }));
}

/** How many jobs run, in the page's head. */
async function countJobs() {
  try {
    const running = (await ask("jobs")).filter((job) => job.runs).length;
    const said = running ? `${running} at work` : "Work";
    if ($("at-work").textContent !== said) $("at-work").textContent = said;
    $("at-work").classList.toggle("busy", running > 0);
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}
