/* Weights of dsp/vad, made by training/vad.py: [out, in] int8, a scale a row. */
#ifndef EARSHOT_DSP_VAD_MODEL_H
#define EARSHOT_DSP_VAD_MODEL_H

enum {
    VAD_CONTEXT = 3, /* frames */
    VAD_LEVEL_FRAMES = 200,
    VAD_CONV = 40,
    VAD_GRU1 = 48,
    VAD_GRU2 = 32,
};

extern const signed char vad_model_conv[9600]; /* [40, 240] */
extern const float vad_model_conv_scale[40];
extern const float vad_model_conv_bias[40];
extern const signed char vad_model_gru1_input[5760]; /* [144, 40] */
extern const float vad_model_gru1_input_scale[144];
extern const float vad_model_gru1_input_bias[144];
extern const signed char vad_model_gru1_state[6912]; /* [144, 48] */
extern const float vad_model_gru1_state_scale[144];
extern const float vad_model_gru1_state_bias[144];
extern const signed char vad_model_gru2_input[4608]; /* [96, 48] */
extern const float vad_model_gru2_input_scale[96];
extern const float vad_model_gru2_input_bias[96];
extern const signed char vad_model_gru2_state[3072]; /* [96, 32] */
extern const float vad_model_gru2_state_scale[96];
extern const float vad_model_gru2_state_bias[96];
extern const signed char vad_model_out[32]; /* [1, 32] */
extern const float vad_model_out_scale[1];
extern const float vad_model_out_bias[1];

#endif
