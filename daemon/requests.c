/* The kinds of requests, and what does each. */
#include "daemon/requests.h"

#include "daemon/front_private.h"
#include "daemon/inference_private.h"

const struct request_kind request_kinds[] = {
    [ENGINE_HOLD] = {.front = front_hold},
    [ENGINE_FINISH] = {.front = front_finish},
    [ENGINE_DEVICE] = {.front = front_choose_device},
    [ENGINE_REOPEN] = {.front = front_reopen},
    [ENGINE_ASK] = {.inference = inference_ask},
    [ENGINE_RESET] = {.inference = inference_forget},
    [ENGINE_SAVE] = {.inference = inference_save},
    [ENGINE_RESTORE] = {.inference = inference_restore},
    [ENGINE_REPLIES] = {.inference = inference_follow_mode},
};
