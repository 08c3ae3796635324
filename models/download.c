/* A transfer that fails on the way is tried again from where it ended, as long as something comes.
 */
#include "models/download.h"

#include "models/progress.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REDIRECTS_MAX = 5,
    CONNECT_S = 30,
    STALLED_S = 60, /* with less than a byte a second */
    TRIES = 5,      /* in which nothing comes */
    HTTP_REQUEST_TIMEOUT = 408,
    HTTP_RANGE = 416,
    HTTP_MANY = 429,
    HTTP_SERVER = 500,
};

static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int signal)
{
    (void)signal;
    asked_to_end = 1;
}

void download_begin(void)
{
    struct sigaction action = {.sa_handler = ask_to_end};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A transfer that runs. */
struct transfer {
    CURL *curl;
    char why[CURL_ERROR_SIZE];
    FILE *file;     /* of a file: it goes there */
    uint64_t begun; /* bytes that were there before */
    uint64_t limit; /* bytes of all of it, 0: none */
    uint64_t come;
    bool too_long;
    char *text; /* of a text */
    struct progress progress;
};

static size_t receive_file(char *data, size_t one, size_t count, void *user)
{
    struct transfer *t = user;

    (void)one;
    t->too_long = t->limit && t->begun + t->come + count > t->limit;
    if (t->too_long || fwrite(data, 1, count, t->file) != count)
        return 0;
    t->come += count;
    return count;
}

static size_t receive_text(char *data, size_t one, size_t count, void *user)
{
    struct transfer *t = user;

    (void)one;
    t->too_long = t->come + count > t->limit;
    char *grown = t->too_long ? NULL : realloc(t->text, t->come + count + 1);
    if (!grown)
        return 0;
    t->text = grown;
    memcpy(grown + t->come, data, count);
    t->come += count;
    grown[t->come] = '\0';
    return count;
}

/* Called by curl a few times a second; not 0 ends the transfer. */
static int watch(void *user, curl_off_t whole, curl_off_t now, curl_off_t up, curl_off_t sent)
{
    struct transfer *t = user;

    (void)up;
    (void)sent;
    if (t->file && now > 0)
        progress_show(&t->progress, t->begun + (uint64_t)now,
                      whole > 0 ? t->begun + (uint64_t)whole : t->limit);
    return asked_to_end;
}

/* Whether an address is of this machine: nobody reads on the way there. */
static bool is_local(const char *address)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t length = strlen(hosts[i]);
        if (strncasecmp(address, hosts[i], length) == 0 && strchr(":/", address[length]))
            return true;
    }
    return false;
}

static int transfer_begin(struct transfer *t, const char *address, const char *name,
                          struct error *error)
{
    const char *protocols = is_local(address) ? "http,https" : "https";

    if (strncasecmp(address, "https://", 8) != 0 && !is_local(address))
        return error_set(error, -EINVAL, "%s: %.200s is no https:// address", name, address);
    t->curl = curl_easy_init();
    if (!t->curl)
        return error_set(error, -ENOMEM, "%s: out of memory", name);
    curl_easy_setopt(t->curl, CURLOPT_URL, address);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(t->curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(t->curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "earshot/" EARSHOT_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, t->file ? receive_file : receive_text);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    return 0;
}

static long http_status(const struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Whether the same may do better a little later. */
static bool is_passing(const struct transfer *t, CURLcode code)
{
    long status = http_status(t);

    if (code == CURLE_HTTP_RETURNED_ERROR)
        return status >= HTTP_SERVER || status == HTTP_MANY || status == HTTP_REQUEST_TIMEOUT;
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

/* The error of a transfer that came to nothing. */
static int explain(const struct transfer *t, CURLcode code, const char *name, struct error *error)
{
    long status = http_status(t);

    if (asked_to_end)
        return error_set(error, -EINTR, "%s: interrupted", name);
    if (t->too_long)
        return error_set(error, -EBADMSG, "%s: longer than the %llu bytes that it should have",
                         name, (unsigned long long)t->limit);
    if (code == CURLE_WRITE_ERROR)
        return error_set(error, -errno, "%s: cannot be written: %s", name, strerror(errno));
    if (code == CURLE_HTTP_RETURNED_ERROR && (status == 401 || status == 403))
        return error_set(error, -EACCES, "%s: the server wants to know who asks (HTTP %ld)", name,
                         status);
    if (code == CURLE_HTTP_RETURNED_ERROR && status == 404)
        return error_set(error, -ENOENT, "%s: not there any more (HTTP 404)", name);
    return error_set(error, -EIO, "%s: %s", name, *t->why ? t->why : curl_easy_strerror(code));
}

int download_text(const char *address, const char *name, size_t most, char **text,
                  struct error *error)
{
    struct transfer t = {.limit = most};
    int rc = transfer_begin(&t, address, name, error);

    if (rc)
        return rc;
    CURLcode code = curl_easy_perform(t.curl);
    rc = code == CURLE_OK ? 0 : explain(&t, code, name, error);
    if (rc == 0 && !t.text)
        rc = error_set(error, -EIO, "%s: the server sent nothing", name);
    curl_easy_cleanup(t.curl);
    if (rc)
        free(t.text);
    else
        *text = t.text;
    return rc;
}

/* Waits a second, two, four, ... until the next try. */
static void wait_for_try(int tried)
{
    for (int tenths = 10 << tried; tenths > 0 && !asked_to_end; tenths--)
        usleep(100000);
}

static uint64_t size_of(FILE *file)
{
    struct stat st;

    return fstat(fileno(file), &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Begins anew. */
static int empty(FILE *file)
{
    return ftruncate(fileno(file), 0) == 0 && fseek(file, 0, SEEK_SET) == 0 ? 0 : -errno;
}

/* One try, from the end of what is there. 1: try again. */
static int try_once(struct transfer *t, const struct download *d, struct error *error)
{
    int rc = transfer_begin(t, d->address, d->name, error);

    if (rc)
        return rc;
    curl_easy_setopt(t->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->begun);
    CURLcode code = curl_easy_perform(t->curl);
    if (code == CURLE_OK)
        rc = 0;
    else if (t->begun && (code == CURLE_RANGE_ERROR || http_status(t) == HTTP_RANGE))
        rc = empty(t->file) ? -EIO : 1; /* it gives all or nothing */
    else if (!asked_to_end && is_passing(t, code))
        rc = 1;
    else
        rc = explain(t, code, d->name, error);
    if (rc == 1)
        explain(t, code, d->name, error);
    curl_easy_cleanup(t->curl);
    return rc;
}

/* Fetches what is missing of the open file. */
static int fetch(FILE *file, const struct download *d, struct error *error)
{
    int rc = 1;

    for (int tried = 0; rc == 1 && tried < TRIES; tried++) {
        struct transfer t = {.file = file, .begun = size_of(file), .limit = d->bytes};
        if (t.limit && t.begun == t.limit)
            return 0;
        if (t.limit && t.begun > t.limit && empty(file) == 0)
            t.begun = 0;
        if (fseek(file, 0, SEEK_END) != 0)
            return error_set(error, -errno, "%s: %s", d->path, strerror(errno));
        progress_begin(&t.progress, d->name, t.begun);
        rc = try_once(&t, d, error);
        progress_end(&t.progress);
        if (fflush(file) != 0 && rc >= 0)
            rc = error_set(error, -errno, "%s: cannot be written: %s", d->name, strerror(errno));
        if (t.come)
            tried = 0;
        if (rc == 1)
            wait_for_try(tried);
    }
    if (rc == 1)
        rc = asked_to_end ? error_set(error, -EINTR, "%s: interrupted", d->name) : -EIO;
    return rc;
}

/* What came is checked; where it is wrong nothing of it is kept. */
static int check(const char *part, const struct download *d, struct error *error)
{
    struct error why;
    struct stat st;

    if (d->bytes && stat(part, &st) == 0 && (uint64_t)st.st_size != d->bytes) {
        unlink(part);
        return error_set(error, -EBADMSG, "%s: %lld bytes came, not %llu; nothing of it was kept",
                         d->name, (long long)st.st_size, (unsigned long long)d->bytes);
    }
    int rc = checksum_check(&d->sum, part, &why);
    if (rc == -EBADMSG) {
        unlink(part);
        return error_set(error, rc, "%s: %s; nothing of it was kept", d->name, why.message);
    }
    return rc ? error_set(error, rc, "%s: %s", d->name, why.message) : 0;
}

static int download_part(const char *part, const struct download *d, bool *resumed,
                         struct error *error)
{
    FILE *file = fopen(part, "abe");

    if (!file)
        return error_set(error, -errno, "%s: %s", part, strerror(errno));
    *resumed = size_of(file) > 0;
    int rc = fetch(file, d, error);
    bool nothing = size_of(file) == 0;
    if (fclose(file) != 0 && rc == 0)
        rc = error_set(error, -errno, "%s: cannot be written: %s", d->name, strerror(errno));
    if (nothing && rc)
        unlink(part);
    return rc ? rc : check(part, d, error);
}

int download_file(const struct download *d, struct error *error)
{
    char part[PATH_MAX];
    bool resumed;

    if (access(d->path, F_OK) == 0)
        return 0;
    if (snprintf(part, sizeof part, "%s.part", d->path) >= (int)sizeof part)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", d->path);
    int rc = download_part(part, d, &resumed, error);
    if (rc == -EBADMSG && resumed) /* what was there may have been of another version */
        rc = download_part(part, d, &resumed, error);
    if (rc == 0 && rename(part, d->path) != 0)
        rc = error_set(error, -errno, "%s: %s", d->path, strerror(errno));
    return rc;
}
