// The recorder of analysis.widgets.recorder.Recorder: microphone to 16-bit mono wav, inside the page.

function wavOf(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const words = [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]];
  for (const [place, word] of words) [...word].forEach((letter, k) => view.setUint8(place + k, letter.charCodeAt(0)));
  view.setUint32(4, 36 + 2 * samples.length, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, k) => view.setInt16(44 + 2 * k, Math.round(32767 * Math.max(-1, Math.min(1, x))), true));
  return view;
}

async function decode(blob) {
  const context = new AudioContext();
  const buffer = await context.decodeAudioData(await blob.arrayBuffer());
  await context.close();
  const mono = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((x, k) => (mono[k] += x / buffer.numberOfChannels));
  }
  return wavOf(mono, buffer.sampleRate);
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "diffse-player diffse-bar";
  root.innerHTML =
    '<button type="button" class="diffse-button diffse-record" aria-label="Record from the microphone"></button><span></span>';
  const [button, said] = root.children;
  el.appendChild(root);
  let recorder = null;
  let timer = null;

  function show(recording) {
    button.textContent = recording ? "■ stop" : "● record";
    button.setAttribute("aria-pressed", recording);
  }

  async function start() {
    try {
      const devices = navigator.mediaDevices;
      if (!devices) throw new Error("this page has no access to a microphone (it needs https or localhost)");
      // What a telephone would do to the sound is what is to be studied here, so all of it is off.
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await devices.getUserMedia({ audio: plain });
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.ondataavailable = (event) => parts.push(event.data);
      recorder.onstop = () => finish(stream, parts);
      recorder.start();
      said.textContent = `recording, at most ${model.get("most_seconds")} s`;
      show(true);
      timer = setTimeout(stop, 1000 * model.get("most_seconds"));
    } catch (error) {
      said.textContent = `no recording: ${error.message}`;
    }
  }

  function stop() {
    clearTimeout(timer);
    if (recorder?.state === "recording") recorder.stop();
  }

  async function finish(stream, parts) {
    stream.getTracks().forEach((track) => track.stop());
    recorder = null;
    show(false);
    try {
      model.set("wav", await decode(new Blob(parts)));
      model.set("takes", model.get("takes") + 1);
      model.save_changes();
      said.textContent = "recorded";
    } catch (error) {
      said.textContent = `no recording: ${error.message}`;
    }
  }

  button.addEventListener("click", () => (recorder ? stop() : start()));
  show(false);
  return stop;
}

export default { render };
