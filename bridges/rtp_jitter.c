/* Packets into their order: a ring of slots, from the one that is due to the newest. */
#include "bridges/rtp_jitter.h"

#include <string.h>

void rtp_jitter_reset(struct rtp_jitter *j)
{
    for (size_t i = 0; i < RTP_JITTER_SLOTS; i++)
        j->slots[i].is_there = false;
    j->begun = false;
    j->held = 0;
}

static struct rtp_held *slot_of(struct rtp_jitter *j, int64_t number)
{
    return &j->slots[number % RTP_JITTER_SLOTS];
}

/* The first that is held; there is one. */
static const struct rtp_held *first_of(const struct rtp_jitter *j)
{
    int64_t least = j->newest - RTP_JITTER_SLOTS + 1, number = j->next > least ? j->next : least;
    while (!j->slots[number % RTP_JITTER_SLOTS].is_there)
        number++;
    return &j->slots[number % RTP_JITTER_SLOTS];
}

enum rtp_pushed rtp_jitter_push(struct rtp_jitter *j, int64_t number, const struct rtp_packet *p,
                                uint64_t now_us)
{
    if (!j->begun)
        j->next = number;
    j->begun = true;
    struct rtp_held *slot = slot_of(j, number);
    if (number < j->next || (j->held && number <= j->newest - RTP_JITTER_SLOTS) ||
        (slot->is_there && slot->number == number))
        return RTP_LATE;
    if (j->held && number - first_of(j)->number >= RTP_JITTER_SLOTS)
        return RTP_FULL;
    *slot = (struct rtp_held){
        .number = number, .came_us = now_us, .timestamp = p->timestamp, .is_there = true};
    slot->size = p->size < RTP_PAYLOAD_MAX ? p->size : RTP_PAYLOAD_MAX;
    memcpy(slot->payload, p->payload, slot->size);
    if (!j->held || number > j->newest)
        j->newest = number;
    j->held++;
    return RTP_PUSHED;
}

uint64_t rtp_jitter_due_us(const struct rtp_jitter *j, uint64_t wait_us)
{
    if (!j->held)
        return UINT64_MAX;
    const struct rtp_held *first = first_of(j);
    return first->number == j->next ? first->came_us : first->came_us + wait_us;
}

const struct rtp_held *rtp_jitter_pop(struct rtp_jitter *j, uint64_t wait_us, uint64_t now_us,
                                      unsigned *lost)
{
    if (rtp_jitter_due_us(j, wait_us) > now_us)
        return NULL;
    const struct rtp_held *first = first_of(j);
    *lost = (unsigned)(first->number - j->next);
    j->next = first->number + 1;
    j->held--;
    slot_of(j, first->number)->is_there = false;
    return first;
}
