"use strict";
/* The steps, one at a time; where one is stands in the address, so that a reload and the Back button work. */

let about = null; // what the server says of itself: home, forms

const STEPS = [
  { name: "images", title: "Images", commands: [] },
  { name: "optics", title: "Optics", commands: ["new"] },
  { name: "calibrate", title: "Calibrate", commands: ["calibrate"] },
  { name: "fit", title: "Fit", commands: ["run", "reconstruct"] },
  { name: "result", title: "Result", commands: ["view", "report", "evaluate"] },
  { name: "measure", title: "Measure", commands: ["measure", "ensemble"] },
  { name: "export", title: "Export", commands: ["render", "compress"] },
  { name: "jobs", title: "Work", commands: [] },
];
const CHOICES = {
  run: "Let the images choose everything", reconstruct: "Choose yourself", view: "Look at it", report: "Report",
  evaluate: "Errors", measure: "Objects", ensemble: "Error bars", render: "A picture, film or volume", compress: "A small field",
};
const stepOf = (command) => STEPS.find((step) => step.commands.includes(command)).name;
let shown = { step: "", job: "" }; // what the page shows, so that the focus goes where something new is

/** Choose files for a place in the address. */
async function chooseInto(name, kind, title, several = false) {
  const now = place.all(name)[0], paths = await files.choose(kind, title, several, now ? folderOf(now) : "");
  if (!paths) return;
  place.to(name === "images" ? { images: paths, acq: "", job: "", step: "optics" } : { [name]: paths, job: "" });
}

const chooser = (words, name, kind, title, several) =>
  el("button", { type: "button", textContent: words, click: () => chooseInto(name, kind, title, several) });

const imagesChooser = (words) => chooser(words, "images", "images", "Choose images, or their folder", true);

function imagesStep(box) {
  const acq = place.get("acq");
  box.append(el("p", { className: "says",
    textContent: "Choose the images of one sample, each lit from another direction: their folder, or one file that holds them all. Or open an acquisition, the file that the next step writes about them." }),
  el("div", { className: "line wrap" },
    chooser(acq ? "Open another acquisition" : "Open an acquisition", "acq", "acquisition", "Choose an acquisition"),
    imagesChooser("Choose images")));
  if (acq) box.append(el("h3", { textContent: near(acq) }), acquisitionView(acq));
}

/** Images chosen and what is known of them; gives the view of their job. */
function opticsStep(box, job) {
  const images = place.get("job") && job ? job.reads : place.all("images"), acq = place.get("acq");
  if (images.length) {
    box.append(el("p", { className: "note", textContent: images.map(near).join(", ") }));
    const draft = draftView(images, job?.values.settings || [], (id) => place.to({ images, job: id }));
    const work = job && new JobView(job.id, draft.refresh); // what it wrote is there now
    box.append(...(work ? [work.box] : []), draft.box);
    return work;
  } else if (acq.endsWith(".toml")) box.append(textView(acq));
  else if (acq) box.append(el("p", { textContent: `${near(acq)} holds its optics beside its images: they are changed where it is made.` }));
  else box.append(el("p", { textContent: "No images were chosen yet." }), el("div", { className: "line" },
    imagesChooser("Choose images")));
}

/** A step of commands: which of them, what it works on, its form, and its work, whose view it gives. */
function commandStep(box, step, job) {
  const choice = place.get(`${step.name}-command`), command = step.commands.includes(choice) ? choice : step.commands[0];
  if (step.commands.length > 1) {
    box.append(el("fieldset", { className: "group" }, el("legend", { className: "unseen", textContent: "What" }),
      ...step.commands.map((name) => el("label", {}, el("input", {
        type: "radio", name: `${step.name}-command`, value: name, checked: name === command,
        change: () => place.to({ [`${step.name}-command`]: name, job: "" }),
      }), ` ${CHOICES[name]}`))));
  }
  const needs = about.forms[command].parameters.filter((parameter) => parameter.required && parameter.file);
  const given = {};
  for (const { name, file } of about.forms[command].parameters) {
    if (file === "acquisition" && place.get("acq")) given[name] = place.get("acq");
    if (file === "field" && name === "field" && place.get("field")) given[name] = place.get("field");
  }
  const ordered = Object.fromEntries([...needs.map(({ name }) => [name, given[name] || ""]), ...Object.entries(given)].filter(([, path]) => path));
  const side = el("div"), work = job && new JobView(job.id);
  box.append(el("div", { className: "halves" },
    formOf(command, ordered, job?.values || {}, (id) => place.to({ job: id })), side));
  if (work) side.append(work.box);
  return work;
}

/** The job that a step shows: the one in the address, or the latest on the same files. */
async function jobOf(step) {
  const jobs = await ask("jobs"), named = jobs.find((job) => job.id === place.get("job"));
  if (named && step.commands.includes(named.command)) return named;
  const choice = place.get(`${step.name}-command`) || step.commands[0];
  const files = [place.get("acq"), place.get("field"), ...place.all("images")].filter(Boolean);
  return jobs.find((job) => job.command === choice && job.reads.length && files.includes(job.reads[0]));
}

async function show() {
  const step = STEPS.find((one) => one.name === place.get("step")) || STEPS[0];
  for (const link of document.querySelectorAll("#steps a")) {
    link.href = place.link({ step: link.dataset.step, job: "" });
    link.dataset.step === step.name ? link.setAttribute("aria-current", "step") : link.removeAttribute("aria-current");
    if (link.dataset.step === step.name) link.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone
  }
  $("at-work").href = place.link({ step: "jobs", job: "" });
  const now = location.hash, moved = shown.step !== "" && shown.step !== step.name;
  const box = el("section", { "aria-labelledby": "step-title" }, el("h2", { id: "step-title", tabIndex: -1, textContent: step.title }));
  let work = null;
  try {
    const job = step.commands.length ? await jobOf(step) : null;
    if (location.hash !== now) return; // somebody went on meanwhile
    if (step.name === "images") imagesStep(box);
    else if (step.name === "optics") work = opticsStep(box, job);
    else if (step.name === "jobs") {
      const list = el("div");
      box.append(list);
      jobsList(list);
    } else work = commandStep(box, step, job);
    trouble(null);
  } catch (error) {
    return trouble(error);
  }
  const chosen = document.activeElement?.type === "radio" ? document.activeElement.name : "";
  $("main").replaceChildren(box);
  document.title = `${step.title} · fieldrx`;
  const begun = shown.step === step.name && place.get("job") && place.get("job") !== shown.job;
  shown = { step: step.name, job: place.get("job") };
  if (moved) $("step-title").focus();
  else if (begun) work?.comeForth();
  else if (chosen) box.querySelector(`input[name="${chosen}"]:checked`)?.focus();
}

(async () => {
  $("steps").append(...STEPS.filter((step) => step.name !== "jobs").map((step) =>
    el("li", {}, el("a", { href: `#step=${step.name}`, "data-step": step.name, textContent: step.title }))));
  try {
    about = await ask("about");
  } catch (error) {
    return trouble(error);
  }
  $("home").textContent = about.home;
  addEventListener("hashchange", () => show());
  await show();
  countJobs();
  setInterval(countJobs, 3000);
})();
