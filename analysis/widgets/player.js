// The player of analysis.widgets.player.Player: clips of one length, heard one at a time and always in step.
//
// All clips are decoded once and started together, each through a gain of its own; switching only moves gains, so it
// leaves no gap and keeps the position to the sample. Each clip has its spectrogram, with a cursor that follows.

const RAMP = 0.004; // seconds, time constant of a switch
const MARGIN = { left: 34, right: 6, top: 4, bottom: 28 };
const PANEL_HEIGHT = { all: 168, one: 300 };

function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

// A 16-bit mono wav file with the plain 44-byte header that Player.wav writes.
function bufferOf(wav) {
  const samples = new Int16Array(bytesOf(wav).slice(44).buffer);
  if (!samples.length) return null;
  const sampleRate = new DataView(wav.buffer, wav.byteOffset, 44).getUint32(24, true);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate, numberOfChannels: 1 });
  buffer.copyToChannel(Float32Array.from(samples, (x) => x / 32768), 0);
  return buffer;
}

function imageOf(levels, bins, frames, palette) {
  const canvas = document.createElement("canvas");
  canvas.width = frames;
  canvas.height = bins;
  const pixels = new ImageData(frames, bins);
  for (let row = 0; row < bins; row++) {
    for (let column = 0; column < frames; column++) {
      const colour = 3 * levels[(bins - 1 - row) * frames + column];
      const place = 4 * (row * frames + column);
      for (let k = 0; k < 3; k++) pixels.data[place + k] = palette[colour + k];
      pixels.data[place + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function ticks(low, high, most) {
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * power).find((f) => f >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(+value.toFixed(6));
  return found;
}

function make(tag, className, parent, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}

function button(className, parent, text, label, act) {
  const element = make("button", className, parent, text);
  element.type = "button";
  element.setAttribute("aria-label", label);
  element.title = label;
  element.addEventListener("click", act);
  return element;
}

class Sound {
  // The Web Audio side: starts all clips together, moves gains, knows the position.
  constructor(ended) {
    this.ended = ended;
    this.context = null;
    this.voices = [];
    this.buffers = [];
    this.offset = 0;
    this.playing = false;
    this.loop = false;
  }

  get duration() {
    return Math.max(0, ...this.buffers.map((buffer) => (buffer ? buffer.duration : 0)));
  }

  get position() {
    if (!this.playing) return this.offset;
    const passed = this.offset + Math.max(0, this.context.currentTime - this.began);
    return this.loop ? passed % this.duration : Math.min(passed, this.duration);
  }

  load(wavs) {
    const position = this.position;
    this.halt();
    this.buffers = wavs.map(bufferOf);
    this.offset = position < this.duration ? position : 0;
    if (this.playing) this.start();
  }

  start() {
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    this.began = this.context.currentTime + 0.03;
    this.voices = this.buffers.map((buffer, index) => {
      if (!buffer) return null;
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: this.loop });
      const gain = new GainNode(this.context, { gain: this.gains[index] });
      source.connect(gain).connect(this.context.destination);
      source.start(this.began, this.offset);
      return { source, gain };
    });
    const last = this.voices.find((voice) => voice && voice.source.buffer.duration === this.duration);
    if (last) last.source.onended = () => this.finish(last);
    this.playing = true;
  }

  finish(voice) {
    if (!this.voices.includes(voice)) return;
    this.halt();
    this.playing = false;
    this.offset = 0;
    this.ended();
  }

  halt() {
    for (const voice of this.voices) {
      if (!voice) continue;
      voice.source.onended = null;
      voice.gain.gain.setTargetAtTime(0, this.context.currentTime, RAMP);
      voice.source.stop(this.context.currentTime + 8 * RAMP);
    }
    this.voices = [];
  }

  pause() {
    this.offset = this.position;
    this.halt();
    this.playing = false;
  }

  seek(seconds) {
    const position = Math.min(Math.max(seconds, 0), Math.max(0, this.duration - 0.01));
    this.halt();
    this.offset = position;
    if (this.playing) this.start();
  }

  setGains(gains) {
    this.gains = gains;
    this.voices.forEach((voice, index) => {
      if (voice) voice.gain.gain.setTargetAtTime(gains[index], this.context.currentTime, RAMP);
    });
  }
}

function render({ model, el }) {
  const root = make("div", "diffse-player", el);
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Player. Space plays and pauses, digits switch, arrows move by half a second");
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab would turn cells into headings on 1 to 5

  const bar = make("div", "diffse-bar", root);
  const play = button("diffse-button diffse-play", bar, "▶", "Play or pause (space)", toggle);
  const clock = make("span", "diffse-clock", bar);
  const loop = button("diffse-button diffse-loop", bar, "loop", "Repeat at the end (L)", toggleLoop);
  const match = button("diffse-button diffse-match", bar, "match loudness", "Play all clips equally loud (M)", toggleMatch);
  const large = button("diffse-button diffse-large", bar, "enlarge", "Show only the clip that is heard (E)", toggleLarge);
  const gain = make("span", "diffse-gain", bar);
  const scale = make("span", "diffse-scale", bar);
  const grid = make("div", "diffse-grid", root);
  const hint = make("div", "diffse-hint", root);

  let panels = [];
  let enlarged = false;
  const sound = new Sound(() => shownState(true));

  const playable = () => model.get("wavs").some((wav) => wav.byteLength > 44);
  const current = () => Math.min(model.get("current"), model.get("names").length - 1);

  function gains() {
    const matching = model.get("matched") ? model.get("matching") : model.get("names").map(() => 1);
    return matching.map((factor, index) => (index === current() ? factor : 0));
  }

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  function toggle() {
    if (sound.playing) sound.pause();
    else if (playable()) sound.start();
    shownState(true);
  }

  function toggleLoop() {
    const position = sound.position;
    sound.loop = !sound.loop;
    sound.seek(position);
    shownState(false);
  }

  function toggleMatch() {
    set("matched", !model.get("matched"));
  }

  function toggleLarge() {
    enlarged = !enlarged;
    shownState(false);
    draw();
  }

  function choose(index) {
    if (index >= 0 && index < model.get("names").length) set("current", index);
  }

  function seek(seconds) {
    sound.seek(seconds);
    shownState(true);
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      " ": toggle,
      l: toggleLoop,
      m: toggleMatch,
      e: toggleLarge,
      ArrowLeft: () => seek(sound.position - 0.5),
      ArrowRight: () => seek(sound.position + 0.5),
      Home: () => seek(0),
    }[event.key];
    const digit = "123456789".indexOf(event.key);
    if (act) act();
    else if (digit >= 0) choose(digit);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function build() {
    const focused = root.contains(document.activeElement) && document.activeElement !== root;
    grid.replaceChildren();
    const [bins, frames] = model.get("shape");
    const palette = bytesOf(model.get("palette"));
    panels = model.get("names").map((name, index) => {
      const panel = make("div", "diffse-panel", grid);
      const head = button("diffse-name", panel, "", `Hear ${name} (${index + 1})`, () => choose(index));
      make("kbd", "diffse-key", head, String(index + 1));
      make("b", "", head, name);
      make("span", "diffse-level", head, model.get("captions")[index]);
      const place = make("div", "diffse-place", panel);
      const canvas = make("canvas", "diffse-canvas", place);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Spectrogram of ${name}, 0 to ${model.get("top_kilohertz")} kHz`);
      const cursor = make("div", "diffse-cursor", place);
      canvas.addEventListener("pointerdown", (event) => {
        const { left, width } = canvas.getBoundingClientRect();
        const part = (event.clientX - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
        choose(index);
        seek(part * model.get("duration"));
      });
      const image = imageOf(bytesOf(model.get("pictures")[index]), bins, frames, palette);
      return { panel, head, canvas, cursor, image };
    });
    if (focused) root.focus({ preventScroll: true });
    hint.textContent = playable()
      ? `space: play · 1–${panels.length}: switch without a gap · ← →: 0.5 s · click: go there`
      : "";
    draw();
  }

  function draw() {
    grid.classList.toggle("diffse-one", enlarged);
    const ink = getComputedStyle(root).color;
    panels.forEach((each, index) => {
      each.panel.hidden = enlarged && index !== current();
      if (!each.panel.hidden) drawPanel(each, ink);
    });
    moveCursor();
  }

  function drawPanel({ canvas, image }, ink) {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.parentElement.clientWidth;
    const height = PANEL_HEIGHT[enlarged ? "one" : "all"];
    if (!width) return;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const paint = canvas.getContext("2d");
    paint.scale(ratio, ratio);
    const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
    paint.imageSmoothingEnabled = true;
    paint.drawImage(image, MARGIN.left, MARGIN.top, inner.w, inner.h);
    paint.fillStyle = paint.strokeStyle = ink;
    paint.font = "10.5px system-ui, sans-serif";
    paint.textAlign = "center";
    const duration = model.get("duration");
    for (const second of ticks(0, duration, Math.max(2, inner.w / 36))) {
      const x = MARGIN.left + (inner.w * second) / duration;
      paint.fillRect(x, MARGIN.top + inner.h, 1, 3);
      paint.fillText(String(second), x, MARGIN.top + inner.h + 13);
    }
    paint.fillText("Time [s]", MARGIN.left + inner.w / 2, height - 3);
    paint.textAlign = "right";
    const top = model.get("top_kilohertz");
    for (const kilohertz of ticks(0, top, 4)) {
      const y = MARGIN.top + inner.h * (1 - kilohertz / top);
      paint.fillRect(MARGIN.left - 3, y - (kilohertz === top ? 0 : 1), 3, 1);
      paint.fillText(String(kilohertz), MARGIN.left - 5, Math.max(y + 3.5, 10));
    }
    paint.save();
    paint.translate(9, MARGIN.top + inner.h / 2);
    paint.rotate(-Math.PI / 2);
    paint.textAlign = "center";
    paint.fillText("Frequency [kHz]", 0, 0);
    paint.restore();
  }

  function drawScale() {
    scale.replaceChildren();
    const palette = bytesOf(model.get("palette"));
    const [low, high] = model.get("limits");
    const stops = [0, 64, 128, 192, 255].map((k) => `rgb(${palette.slice(3 * k, 3 * k + 3).join(",")})`);
    make("span", "", scale, `${low.toFixed(0)}`);
    make("span", "diffse-colours", scale).style.background = `linear-gradient(90deg, ${stops.join(",")})`;
    make("span", "", scale, `${high.toFixed(0)} dB re full-scale sine`);
  }

  function moveCursor() {
    const duration = model.get("duration");
    const position = sound.position;
    clock.textContent = `${position.toFixed(1)} / ${duration.toFixed(1)} s`;
    for (const { canvas, cursor, panel } of panels) {
      if (panel.hidden) continue;
      const inner = canvas.clientWidth - MARGIN.left - MARGIN.right;
      cursor.style.transform = `translateX(${MARGIN.left + (inner * position) / duration}px)`;
    }
  }

  function follow() {
    if (!root.isConnected || !sound.playing) return;
    moveCursor();
    requestAnimationFrame(follow);
  }

  // What the buttons and the page say of the state; `tell` sends it to Python, too.
  function shownState(tell) {
    bar.hidden = !playable();
    play.textContent = sound.playing ? "⏸" : "▶";
    play.setAttribute("aria-pressed", sound.playing);
    loop.setAttribute("aria-pressed", sound.loop);
    match.setAttribute("aria-pressed", model.get("matched"));
    large.setAttribute("aria-pressed", enlarged);
    const decibel = (factor) => `${factor >= 1 ? "+" : "−"}${Math.abs(20 * Math.log10(factor)).toFixed(1)} dB`;
    const own = model.get("matching")[current()] ?? 1;
    gain.textContent = model.get("matched")
      ? `loudness matched: ${model.get("names")[current()]} at ${decibel(model.get("gain") * own)}`
      : `one gain for all: ${decibel(model.get("gain"))}`;
    root.dataset.playing = sound.playing;
    root.dataset.current = model.get("names")[current()] ?? "";
    root.dataset.position = sound.position.toFixed(3);
    panels.forEach(({ head, panel }, index) => {
      head.setAttribute("aria-pressed", index === current());
      panel.classList.toggle("diffse-heard", index === current());
    });
    moveCursor();
    if (!tell) return;
    model.set({ playing: sound.playing, position: sound.position });
    model.save_changes();
    if (sound.playing) requestAnimationFrame(follow);
  }

  function load() {
    sound.setGains(gains());
    sound.load(model.get("wavs"));
    build();
    drawScale();
    shownState(false);
    root.dataset.loads = 1 + Number(root.dataset.loads ?? 0);
  }

  function changedChoice() {
    sound.setGains(gains());
    shownState(false);
    if (enlarged) draw();
  }

  root.addEventListener("keydown", keys);
  root.addEventListener("keyup", (event) => event.key === " " && event.preventDefault());
  root.addEventListener("pointerdown", () => root.focus({ preventScroll: true }));
  const events = { "change:wavs": load, "change:current": changedChoice, "change:matched": changedChoice };
  for (const [name, act] of Object.entries(events)) model.on(name, act);
  const sizes = new ResizeObserver(draw);
  sizes.observe(grid);
  const theme = new MutationObserver(draw);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  load();

  return () => {
    sound.halt();
    sound.context?.close();
    sizes.disconnect();
    theme.disconnect();
    for (const [name, act] of Object.entries(events)) model.off(name, act);
  };
}

export default { render };
