/* Reads the Wyoming protocol from bytes in any pieces. */
#include "bridges/wyoming_reader.h"

#include <errno.h>
#include <string.h>

void wyoming_reader_init(struct wyoming_reader *r)
{
    memset(r, 0, sizeof *r);
}

void wyoming_reader_finish(struct wyoming_reader *r)
{
    cJSON_Delete(r->data);
    r->data = NULL;
}

bool wyoming_reader_is_within(const struct wyoming_reader *r)
{
    return r->size > 0 || r->in_event;
}

/* An object and nothing behind it; NULL: it is none. */
static cJSON *parse_object(const char *text, size_t size)
{
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    while (json && end < text + size && strchr(" \t\r\n", *end) && *end)
        end++;
    if (cJSON_IsObject(json) && end == text + size)
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* 0 where there is no such key, or null. */
static int read_length(const cJSON *header, const char *key, size_t most, size_t *out,
                       struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(header, key);
    *out = 0;
    if (!item || cJSON_IsNull(item))
        return 0;
    double number = cJSON_IsNumber(item) ? item->valuedouble : -1.0;
    if (!(number >= 0.0 && number <= (double)most) || number != (double)(size_t)number)
        return error_set(error, -EBADMSG, "%s is not a number from 0 to %zu", key, most);
    *out = (size_t)number;
    return 0;
}

static int read_type(struct wyoming_reader *r, const cJSON *header, struct error *error)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(header, "type"));
    if (!type || !*type)
        return error_set(error, -EBADMSG, "an event without a type");
    if (strlen(type) > WYOMING_TYPE_MAX)
        return error_set(error, -EBADMSG, "an event's type is longer than %d bytes",
                         WYOMING_TYPE_MAX);
    memcpy(r->type, type, strlen(type) + 1);
    return 0;
}

/* The line is whole: 0, and the data that stands in it. */
static int read_header(struct wyoming_reader *r, struct error *error)
{
    cJSON *header = parse_object(r->text, r->size);
    if (!header)
        return error_set(error, -EBADMSG, "an event's line is no JSON object");
    int rc = read_type(r, header, error);
    if (!rc)
        rc = read_length(header, "data_length", WYOMING_DATA_MAX, &r->data_left, error);
    if (!rc)
        rc = read_length(header, "payload_length", WYOMING_PAYLOAD_MAX, &r->payload_left, error);
    cJSON *data = cJSON_DetachItemFromObjectCaseSensitive(header, "data");
    cJSON_Delete(r->data);
    r->data = cJSON_IsObject(data) ? data : NULL;
    if (!rc && data && !r->data && !cJSON_IsNull(data))
        rc = error_set(error, -EBADMSG, "the data of event \"%s\" is no JSON object", r->type);
    if (!r->data)
        cJSON_Delete(data);
    cJSON_Delete(header);
    r->size = 0;
    r->in_event = true;
    return rc;
}

/* What comes behind the line wins over what stands in it. */
static int read_data(struct wyoming_reader *r, struct error *error)
{
    cJSON *more = parse_object(r->text, r->size);
    if (!more)
        return error_set(error, -EBADMSG, "the data of event \"%s\" is no JSON object", r->type);
    r->size = 0;
    while (r->data && r->data->child) {
        cJSON *item = cJSON_DetachItemViaPointer(r->data, r->data->child);
        if (cJSON_HasObjectItem(more, item->string))
            cJSON_Delete(item);
        else
            cJSON_AddItemToObject(more, item->string, item);
    }
    cJSON_Delete(r->data);
    r->data = more;
    return 0;
}

static void take(struct wyoming_reader *r, const uint8_t **bytes, size_t *size, size_t count)
{
    memcpy(r->text + r->size, *bytes, count);
    r->size += count;
    *bytes += count;
    *size -= count;
}

static int take_line(struct wyoming_reader *r, const uint8_t **bytes, size_t *size,
                     struct error *error)
{
    const uint8_t *end = *size ? memchr(*bytes, '\n', *size) : NULL;
    size_t count = end ? (size_t)(end - *bytes) + 1 : *size;
    if (count > WYOMING_HEADER_MAX - r->size)
        return error_set(error, -EBADMSG, "an event's line is longer than %d bytes",
                         WYOMING_HEADER_MAX);
    take(r, bytes, size, count);
    return end ? read_header(r, error) : 0;
}

static int take_data(struct wyoming_reader *r, const uint8_t **bytes, size_t *size,
                     struct error *error)
{
    size_t count = *size < r->data_left ? *size : r->data_left;
    take(r, bytes, size, count);
    r->data_left -= count;
    return r->data_left ? 0 : read_data(r, error);
}

int wyoming_reader_next(struct wyoming_reader *r, const uint8_t **bytes, size_t *size,
                        enum wyoming_part *part, const uint8_t **piece, size_t *piece_size,
                        struct error *error)
{
    *part = WYOMING_NOTHING;
    if (!r->in_event && r->payload_left) {
        *piece = *bytes;
        *piece_size = *size < r->payload_left ? *size : r->payload_left;
        *bytes += *piece_size;
        *size -= *piece_size;
        r->payload_left -= *piece_size;
        *part = *piece_size ? WYOMING_PAYLOAD : WYOMING_NOTHING;
        return 0;
    }
    int rc = r->in_event ? 0 : take_line(r, bytes, size, error);
    if (!rc && r->in_event && r->data_left)
        rc = take_data(r, bytes, size, error);
    if (rc || !r->in_event || r->data_left)
        return rc;
    r->in_event = false;
    *part = WYOMING_EVENT;
    return 0;
}

const cJSON *wyoming_reader_item(const struct wyoming_reader *r, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(r->data, key);
}

const char *wyoming_reader_text(const struct wyoming_reader *r, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->data, key));
}

int wyoming_reader_number(const struct wyoming_reader *r, const char *key, unsigned most,
                          unsigned *out, struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->data, key);
    double number = cJSON_IsNumber(item) ? item->valuedouble : -1.0;
    if (!(number >= 0.0 && number <= (double)most) || number != (double)(unsigned)number)
        return error_set(error, -EINVAL, "%s of event \"%s\" is not a number from 0 to %u", key,
                         r->type, most);
    *out = (unsigned)number;
    return 0;
}
