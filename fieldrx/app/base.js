"use strict";
/* What all parts share: elements, the server, and where one is, which stands in the page's address. */

const $ = (id) => document.getElementById(id);

/** An element: properties by their names, events as functions by theirs, attributes with a dash or as `role`. */
function el(tag, given = {}, ...children) {
  const made = tag === "svg" || SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name in made && !(made instanceof SVGElement) && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const SVG = new Set(["circle", "line", "path", "polyline", "rect", "text", "g"]);

/** A question to the server; the library's one line becomes the error's. */
async function ask(name, body) {
  const options = body === undefined ? {}
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(name, options);
  } catch {
    throw new Error("the server does not answer: start fieldrx app again; what it had begun goes on");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}
const address = (name, query) => `${name}?${new URLSearchParams(query)}`;

/** Where one is: step, acquisition (acq), field, images (several), job, and a command for every step. */
const place = {
  get: (name) => new URLSearchParams(location.hash.slice(1)).get(name) || "",
  all: (name) => new URLSearchParams(location.hash.slice(1)).getAll(name),
  to(changes) {
    const now = new URLSearchParams(location.hash.slice(1));
    for (const [name, value] of Object.entries(changes)) {
      now.delete(name);
      for (const one of [value].flat()) if (one) now.append(name, one);
    }
    if (`#${now}` !== location.hash) location.hash = now;
  },
  link(changes) {
    const now = new URLSearchParams(location.hash.slice(1));
    for (const [name, value] of Object.entries(changes)) value ? now.set(name, value) : now.delete(name);
    return `#${now}`;
  },
};

/** What was typed and not yet used: it outlives a reload, and a crash of the page. */
const kept = {
  read(name) {
    try {
      return JSON.parse(localStorage.getItem(name)) || {};
    } catch {
      return {}; // of another version
    }
  },
  write: (name, value) => localStorage.setItem(name, JSON.stringify(value)),
  drop: (name) => localStorage.removeItem(name),
};

const folderOf = (path) => path.replace(/\/[^/]*\/?$/, "") || "/";
/** A path as it is shown: from the folder in which the page began. */
const near = (path) => (path.startsWith(`${about.home}/`) ? path.slice(about.home.length + 1) : path);
/** Show the end of what a field holds: long paths begin alike. */
const showEnd = (input) => requestAnimationFrame(() => (input.scrollLeft = input.scrollWidth));
const nameOf = (path) => path.replace(/\/$/, "").replace(/^.*\//, "");
const stemOf = (path) => nameOf(path).replace(/\..*$/, "");
const short = (number) => (number === null || number === undefined ? "" : Number(number).toPrecision(3));

/** Show an error that belongs to no form; nothing hides it. */
function trouble(error) {
  $("trouble").hidden = !error;
  $("trouble").textContent = error ? error.message : "";
}

/** A function that runs once when calls have paused. */
function settled(run, milliseconds = 200) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), milliseconds);
  };
}
