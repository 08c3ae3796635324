// On the audio thread: what the microphone gives, in pieces of a tenth of a second, 16 bits a sample, little-endian.
"use strict";

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 10);
    this.fresh();
  }

  fresh() {
    this.view = new DataView(new ArrayBuffer(2 * this.size));
    this.count = 0;
  }

  process([input]) {
    for (const sample of input[0] || []) {
      const whole = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      this.view.setInt16(2 * this.count++, whole, true);
      if (this.count === this.size) {
        this.port.postMessage(this.view.buffer, [this.view.buffer]);
        this.fresh();
      }
    }
    return true;
  }
}

registerProcessor("samples", Samples);
