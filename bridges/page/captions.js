// Live captions: the microphone's samples go to this program over a WebSocket, and the words come back. Nothing leaves for
// anywhere else, and nothing is kept.
"use strict";

const LINES_MAX = 200;
const byId = (id) => document.getElementById(id);
let session = null;

function say(text, wrong) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", Boolean(wrong));
}

// The stable bytes first, and what is only likely behind them. The text is UTF-8 in the event's count.
function showOpen(text, stableBytes) {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const likely = document.createElement("span");
  likely.className = "likely";
  likely.textContent = decoder.decode(bytes.subarray(stableBytes));
  byId("open").replaceChildren(decoder.decode(bytes.subarray(0, stableBytes)), likely);
}

function addLine(text) {
  byId("open").replaceChildren();
  if (!text) return;
  const line = document.createElement("p");
  line.textContent = text;
  byId("lines").append(line);
  while (byId("lines").childElementCount > LINES_MAX) byId("lines").firstElementChild.remove();
  line.scrollIntoView({ block: "end" });
}

function onEvent(event) {
  if (event.type === "Ready") say("Listening.");
  else if (event.type === "UtteranceUpdated") showOpen(event.text, event.stable_bytes);
  else if (event.type === "UtteranceCompleted") addLine(event.text);
  else if (event.type === "AudioLost") say("The machine does not keep up: some sound was lost.", true);
  else if (event.type === "Error") stop(event.message);
}

function connect(rate) {
  const url = new URL("/v1/live?rate=" + rate, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const token = byId("token").value;
  return new WebSocket(url, token ? ["earshot", "bearer." + token] : ["earshot"]);
}

async function start() {
  say("Asking for the microphone ...");
  const s = { stopping: false };
  session = s;
  try {
    s.media = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    s.context = new AudioContext();
    await s.context.audioWorklet.addModule("/worklet.js");
  } catch (e) {
    return stop("No microphone: " + e.message);
  }
  s.socket = connect(s.context.sampleRate);
  s.socket.binaryType = "arraybuffer";
  let opened = false;
  s.socket.onmessage = (message) => onEvent(JSON.parse(message.data));
  s.socket.onopen = () => { opened = true; };
  s.socket.onclose = () => {
    if (session === s) stop(opened ? "The connection has ended." : "No connection. Is the token right?", !opened);
  };
  const source = s.context.createMediaStreamSource(s.media);
  s.worklet = new AudioWorkletNode(s.context, "samples", { numberOfOutputs: 0 });
  s.worklet.port.onmessage = ({ data }) => {
    if (s.socket.readyState === WebSocket.OPEN && s.socket.bufferedAmount < 1 << 20) s.socket.send(data);
  };
  source.connect(s.worklet);
  byId("listen").textContent = "Stop";
  say("Connecting ...");
}

function stop(why, askToken) {
  const s = session;
  session = null;
  if (s && s.media) s.media.getTracks().forEach((track) => track.stop());
  if (s && s.context) s.context.close();
  if (s && s.socket && s.socket.readyState === WebSocket.OPEN) s.socket.send('{"type": "end"}');
  if (askToken) byId("asks-token").hidden = false;
  byId("listen").textContent = "Listen";
  say(why || "The microphone is off.", Boolean(why));
}

byId("listen").addEventListener("click", () => (session ? stop() : start()));
