/* Weights of dsp/vad, made by training/vad.py: [out, in] int8, a scale a row. */
#ifndef EARSHOT_DSP_VAD_MODEL_H
#define EARSHOT_DSP_VAD_MODEL_H

enum {
    VAD_CONTEXT = 3, /* frames */
    VAD_LEVEL_FRAMES = 200,
    VAD_CONV = 48,
    VAD_GRU1 = 80,
    VAD_GRU2 = 48,
};

extern const signed char vad_model_conv[11520]; /* [48, 240] */
extern const float vad_model_conv_scale[48];
extern const float vad_model_conv_bias[48];
extern const signed char vad_model_gru1_input[11520]; /* [240, 48] */
extern const float vad_model_gru1_input_scale[240];
extern const float vad_model_gru1_input_bias[240];
extern const signed char vad_model_gru1_state[19200]; /* [240, 80] */
extern const float vad_model_gru1_state_scale[240];
extern const float vad_model_gru1_state_bias[240];
extern const signed char vad_model_gru2_input[11520]; /* [144, 80] */
extern const float vad_model_gru2_input_scale[144];
extern const float vad_model_gru2_input_bias[144];
extern const signed char vad_model_gru2_state[6912]; /* [144, 48] */
extern const float vad_model_gru2_state_scale[144];
extern const float vad_model_gru2_state_bias[144];
extern const signed char vad_model_out[48]; /* [1, 48] */
extern const float vad_model_out_scale[1];
extern const float vad_model_out_bias[1];

#endif
