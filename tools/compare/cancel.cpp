/* WebRTC's older echo canceller over files, called as PulseAudio 16 and PipeWire 0.3 call it: stdin
 * has 16 kHz s16, two channels (what is played, the microphone), stdout the microphone without the
 * echo. One thread. For echo.py, which builds it; libwebrtc-audio-processing-dev 0.3. */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <webrtc/modules/audio_processing/include/audio_processing.h>
#include <webrtc/modules/interface/module_common_types.h>

enum { RATE_HZ = 16000, FRAME = RATE_HZ / 100 };

static webrtc::AudioProcessing *canceller_create(bool pipewire)
{
    webrtc::Config config;
    config.Set<webrtc::ExtendedFilter>(new webrtc::ExtendedFilter(pipewire));
    config.Set<webrtc::DelayAgnostic>(new webrtc::DelayAgnostic(pipewire));
    webrtc::AudioProcessing *apm = webrtc::AudioProcessing::Create(config);
    webrtc::StreamConfig mono(RATE_HZ, 1, false);
    webrtc::ProcessingConfig streams = {{mono, mono, mono, mono}};
    apm->Initialize(streams);
    apm->high_pass_filter()->Enable(true);
    apm->echo_cancellation()->enable_drift_compensation(false);
    apm->echo_cancellation()->set_suppression_level(
        pipewire ? webrtc::EchoCancellation::kHighSuppression
                 : webrtc::EchoCancellation::kModerateSuppression);
    apm->echo_cancellation()->Enable(true);
    apm->noise_suppression()->set_level(webrtc::NoiseSuppression::kHigh);
    apm->noise_suppression()->Enable(true);
    return apm;
}

static void cancel(webrtc::AudioProcessing *apm, const int16_t both[2 * FRAME])
{
    webrtc::StreamConfig mono(RATE_HZ, 1, false);
    float played[FRAME], microphone[FRAME];
    float *played_at = played, *microphone_at = microphone;
    int16_t out[FRAME];
    for (int i = 0; i < FRAME; i++) {
        played[i] = both[2 * i] / 32768.0f;
        microphone[i] = both[2 * i + 1] / 32768.0f;
    }
    apm->ProcessReverseStream(&played_at, mono, mono, &played_at);
    apm->set_stream_delay_ms(0);
    apm->ProcessStream(&microphone_at, mono, mono, &microphone_at);
    for (int i = 0; i < FRAME; i++) {
        float scaled = microphone[i] * 32768.0f;
        out[i] = scaled > 32767.0f    ? 32767
                 : scaled < -32768.0f ? -32768
                                      : static_cast<int16_t>(scaled + (scaled < 0 ? -0.5f : 0.5f));
    }
    fwrite(out, sizeof(int16_t), FRAME, stdout);
}

int main(int argc, char **argv)
{
    int16_t both[2 * FRAME];
    if (argc != 2 || (strcmp(argv[1], "pulse16") != 0 && strcmp(argv[1], "pipewire03") != 0)) {
        fprintf(stderr, "usage: cancel pulse16|pipewire03 <both.s16 >microphone.s16\n");
        return 2;
    }
    webrtc::AudioProcessing *apm = canceller_create(strcmp(argv[1], "pipewire03") == 0);
    while (fread(both, sizeof(int16_t), 2 * FRAME, stdin) == 2 * FRAME)
        cancel(apm, both);
    delete apm;
    return 0;
}
