/* A transfer that fails on the way is tried again from where it ended, as long as something comes.
 * Redirects are followed here, since each address is looked at. */
#include "models/download.h"

#include "base/file.h"
#include "models/progress.h"
#include "models/stop.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
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
    TRIES = 5,      /* in which nothing new comes */
    TAG_MAX = 200,  /* of what a server calls a version of a file */
    FROM_MAX = 4096,
    HTTP_WHOLE = 200,
    HTTP_REDIRECT = 300,
    HTTP_ERROR = 400,
    HTTP_UNKNOWN_WHO = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_MISSING = 404,
    HTTP_REQUEST_TIMEOUT = 408,
    HTTP_RANGE = 416,
    HTTP_MANY = 429,
    HTTP_SERVER = 500,
};

void download_begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A transfer that runs. */
struct transfer {
    CURL *curl;
    const char *name;
    char why[CURL_ERROR_SIZE];
    FILE *file;     /* of a file: it goes there */
    uint64_t begun; /* bytes that were there before */
    uint64_t limit; /* bytes of all of it, 0: none */
    uint64_t come;
    uint64_t sent_from; /* as the answer says: the place of its first byte */
    char tag[TAG_MAX];  /* of the version, as the answer says; "": none */
    bool too_long, misplaced;
    char *text; /* of a text */
    struct progress progress;
};

static long http_status(const struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Begins anew. */
static int empty(FILE *file)
{
    return ftruncate(fileno(file), 0) == 0 && fseek(file, 0, SEEK_SET) == 0 ? 0 : -errno;
}

/* Each line of the answer's head; a redirect has one of its own. */
static size_t receive_header(char *line, size_t one, size_t count, void *user)
{
    struct transfer *t = user;
    unsigned long long from;
    char value[TAG_MAX];

    (void)one;
    if (count >= sizeof value)
        return count;
    memcpy(value, line, count);
    value[count] = '\0';
    value[strcspn(value, "\r\n")] = '\0';
    if (strncasecmp(value, "HTTP/", 5) == 0) {
        t->sent_from = 0;
        t->tag[0] = '\0';
    } else if (sscanf(value, "%*[Cc]ontent-%*[Rr]ange: bytes %llu-", &from) == 1) {
        t->sent_from = from;
    } else if (strncasecmp(value, "ETag: \"", 7) == 0) { /* a weak one tells nothing of bytes */
        snprintf(t->tag, sizeof t->tag, "%s", value + strlen("ETag: "));
    }
    return count;
}

static size_t receive_file(char *data, size_t one, size_t count, void *user)
{
    struct transfer *t = user;
    long status = http_status(t);

    (void)one;
    if (status >= HTTP_REDIRECT)
        return count;
    if (t->begun && !t->come && status == HTTP_WHOLE) { /* the server gives all or nothing */
        if (empty(t->file))
            return 0;
        t->begun = 0;
    }
    t->misplaced = t->sent_from != t->begun;
    t->too_long = t->limit && t->begun + t->come + count > t->limit;
    if (t->misplaced || t->too_long || fwrite(data, 1, count, t->file) != count)
        return 0;
    t->come += count;
    return count;
}

static size_t receive_text(char *data, size_t one, size_t count, void *user)
{
    struct transfer *t = user;

    (void)one;
    if (http_status(t) >= HTTP_REDIRECT)
        return count;
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
    if (t->file && t->come)
        progress_show(&t->progress, t->begun + (uint64_t)now,
                      whole > 0 ? t->begun + (uint64_t)whole : t->limit);
    return stop_asked();
}

/* Whether nobody reads on the way to an address: https, or of this machine. */
static bool is_safe(const char *address)
{
    static const char *const here[] = {"127.0.0.1", "localhost", "[::1]"};
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool safe = false;

    if (url && curl_url_set(url, CURLUPART_URL, address, 0) == CURLUE_OK) {
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
        curl_url_get(url, CURLUPART_HOST, &host, 0);
        curl_url_get(url, CURLUPART_USER, &user, 0);
        safe = scheme && strcmp(scheme, "https") == 0;
        for (size_t i = 0; i < sizeof here / sizeof *here && !safe; i++)
            safe = scheme && host && strcmp(scheme, "http") == 0 && strcasecmp(host, here[i]) == 0;
    }
    safe = safe && !user;
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(url);
    return safe;
}

static int transfer_begin(struct transfer *t, struct error *error)
{
    t->curl = curl_easy_init();
    if (!t->curl)
        return error_set(error, -ENOMEM, "%s: out of memory", t->name);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
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
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, receive_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, t->file ? receive_file : receive_text);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    return 0;
}

/* Whether the same may do better a little later. */
static bool is_passing(const struct transfer *t, CURLcode code)
{
    long status = http_status(t);

    if (code == CURLE_HTTP_RETURNED_ERROR)
        return status >= HTTP_SERVER || status == HTTP_MANY || status == HTTP_REQUEST_TIMEOUT;
    if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT)
        return t->begun > 0; /* else there has never been a way */
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT ||
           code == CURLE_SSL_CONNECT_ERROR || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

/* The error of a transfer that came to nothing. */
static int explain(const struct transfer *t, CURLcode code, struct error *error)
{
    long status = http_status(t);

    if (stop_asked())
        return error_set(error, -EINTR, "%s: interrupted", t->name);
    if (t->too_long)
        return error_set(error, -EBADMSG, "%s: longer than the %llu bytes that it should have",
                         t->name, (unsigned long long)t->limit);
    if (t->misplaced)
        return error_set(error, -EIO, "%s: the server sent another part than it was asked for",
                         t->name);
    if (code == CURLE_WRITE_ERROR)
        return error_set(error, -errno, "%s: cannot be written: %s", t->name, strerror(errno));
    if (code == CURLE_HTTP_RETURNED_ERROR &&
        (status == HTTP_UNKNOWN_WHO || status == HTTP_FORBIDDEN || status == HTTP_MISSING))
        return error_set(error, -ENOENT, "%s: not there any more, or not for everybody (HTTP %ld)",
                         t->name, status);
    return error_set(error, -EIO, "%s: %s", t->name, *t->why ? t->why : curl_easy_strerror(code));
}

/* Asks at an address. CURLE_OK with where it leads in *next, the caller's to free; NULL: it was
 * there. */
static CURLcode ask(struct transfer *t, const char *address, char **next)
{
    char *led = NULL;

    *next = NULL;
    curl_easy_setopt(t->curl, CURLOPT_URL, address);
    CURLcode code = curl_easy_perform(t->curl);
    curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &led);
    if (code == CURLE_OK && led && !(*next = strdup(led)))
        return CURLE_OUT_OF_MEMORY;
    return code;
}

/* Goes to an address, and where it leads. 0; 1: later perhaps; or -errno. Both with the error. */
static int go(struct transfer *t, const char *address, struct error *error)
{
    char *next, *led = NULL;
    CURLcode code = CURLE_OK;
    int rc = 0;

    for (int n = 0; n <= REDIRECTS_MAX; n++) {
        if (!is_safe(address)) {
            rc = error_set(error, -EINVAL, "%s: %.200s is no https:// address", t->name, address);
            free(led);
            return rc;
        }
        code = ask(t, address, &next);
        free(led);
        address = led = next;
        if (!led)
            break;
    }
    if (led)
        rc = error_set(error, -EIO, "%s: more than %d redirects", t->name, REDIRECTS_MAX);
    else if (code != CURLE_OK)
        rc = explain(t, code, error);
    free(led);
    return code != CURLE_OK && !stop_asked() && is_passing(t, code) ? 1 : rc;
}

/* Waits half a second, one, two, four, ... until the next try. */
static void wait_for_try(int tried)
{
    for (int tenths = 5 << tried; tenths > 0 && !stop_asked(); tenths--)
        usleep(100000);
}

/* After the last try, or when an end is asked for. */
static int give_up(const char *name, struct error *error)
{
    return stop_asked() ? error_set(error, -EINTR, "%s: interrupted", name) : -EIO;
}

int download_text(const char *address, const char *name, size_t most, char **text,
                  struct error *error)
{
    int rc = 1;

    for (int tried = 0; rc == 1 && tried < TRIES && !stop_asked(); tried++) {
        struct transfer t = {.name = name, .limit = most};
        if (tried)
            wait_for_try(tried - 1);
        rc = transfer_begin(&t, error);
        if (!rc)
            rc = go(&t, address, error);
        if (!rc && !t.text)
            rc = error_set(error, -EIO, "%s: the server sent nothing", name);
        curl_easy_cleanup(t.curl);
        if (rc)
            free(t.text);
        else
            *text = t.text;
    }
    return rc == 1 ? give_up(name, error) : rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Beside a file that is being fetched: what has come of it, and of what that is: the address, and
 * the server's name of the version. */
struct part {
    char path[PATH_MAX], from[PATH_MAX];
    char tag[TAG_MAX]; /* of what is there; "": unknown */
};

static uint64_t size_of(FILE *file)
{
    struct stat st;

    return fstat(fileno(file), &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* What came from another address is of no use. */
static void read_from(struct part *p, const struct download *d)
{
    char line[FROM_MAX] = "";
    FILE *file = fopen(p->from, "re");
    bool same = file && fgets(line, sizeof line, file) != NULL;

    line[strcspn(line, "\n")] = '\0';
    same = same && strcmp(line, d->address) == 0;
    p->tag[0] = '\0';
    if (same && fgets(p->tag, sizeof p->tag, file))
        p->tag[strcspn(p->tag, "\n")] = '\0';
    if (file)
        fclose(file);
    if (!same)
        unlink(p->path);
}

static int write_from(struct part *p, const struct download *d, const char *tag,
                      struct error *error)
{
    char text[FROM_MAX];
    int length = snprintf(text, sizeof text, "%s\n%s\n", d->address, tag);

    if (length >= (int)sizeof text)
        return error_set(error, -ENAMETOOLONG, "%s: the address is too long", d->name);
    snprintf(p->tag, sizeof p->tag, "%s", tag);
    return file_replace(p->from, text, (size_t)length, error);
}

/* Asks for the rest of the very version of which something is there. */
static struct curl_slist *ask_for_rest(struct transfer *t, const struct part *p)
{
    char range[32], line[TAG_MAX + 16];

    if (!t->begun)
        return NULL;
    snprintf(range, sizeof range, "%llu-", (unsigned long long)t->begun);
    curl_easy_setopt(t->curl, CURLOPT_RANGE, range);
    if (!*p->tag)
        return NULL;
    snprintf(line, sizeof line, "If-Range: %s", p->tag);
    struct curl_slist *headers = curl_slist_append(NULL, line);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    return headers;
}

/* One try, from the end of what is there. 0; 1: try again; or -errno. */
static int try_once(struct transfer *t, struct part *p, const struct download *d,
                    struct error *error)
{
    struct error ignored;
    int rc = transfer_begin(t, error);

    if (rc)
        return rc;
    struct curl_slist *headers = ask_for_rest(t, p);
    progress_begin(&t->progress, d->name, t->begun);
    rc = go(t, d->address, error);
    progress_end(&t->progress);
    if (rc < 0 && t->begun && http_status(t) == HTTP_RANGE)
        rc = empty(t->file) ? -EIO : 1;
    if (!rc && t->limit && t->begun + t->come < t->limit) {
        error_set(error, -EIO, "%s: the server ended too early", d->name);
        rc = 1;
    }
    if (t->come && strcmp(t->tag, p->tag) != 0)
        write_from(p, d, t->tag, &ignored);
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(headers);
    return rc;
}

/* Fetches what is missing of the open file. */
static int fetch(FILE *file, struct part *p, const struct download *d, struct error *error)
{
    uint64_t most = size_of(file);
    int rc = 1;

    for (int tried = 0; rc == 1 && tried < TRIES && !stop_asked(); tried++) {
        struct transfer t = {
            .name = d->name, .file = file, .begun = size_of(file), .limit = d->bytes};
        if (t.limit && t.begun == t.limit)
            return 0;
        if (t.limit && t.begun > t.limit && empty(file) == 0)
            t.begun = 0;
        if (fseek(file, 0, SEEK_END) != 0)
            return error_set(error, -errno, "%s: %s", p->path, strerror(errno));
        rc = try_once(&t, p, d, error);
        if (fflush(file) != 0 && rc >= 0)
            rc = error_set(error, -errno, "%s: cannot be written: %s", d->name, strerror(errno));
        if (size_of(file) > most) {
            most = size_of(file);
            tried = 0;
        }
        if (rc == 1)
            wait_for_try(tried);
    }
    return rc == 1 ? give_up(d->name, error) : rc;
}

/* Whether a file is what it should be. */
static int check(const char *path, const struct download *d, struct error *error)
{
    struct error why;
    struct stat st;

    if (d->bytes && stat(path, &st) == 0 && (uint64_t)st.st_size != d->bytes)
        return error_set(error, -EBADMSG, "%s: %lld bytes came, not %llu; nothing of it was kept",
                         d->name, (long long)st.st_size, (unsigned long long)d->bytes);
    int rc = checksum_check(&d->sum, path, &why);
    if (rc == -EBADMSG)
        return error_set(error, rc, "%s: %s; nothing of it was kept", d->name, why.message);
    return rc ? error_set(error, rc, "%s: %s", d->name, why.message) : 0;
}

/* resumed: something was there before. */
static int download_part(struct part *p, const struct download *d, bool *resumed,
                         struct error *error)
{
    read_from(p, d);
    FILE *file = fopen(p->path, "abe");
    if (!file)
        return error_set(error, -errno, "%s: %s", p->path, strerror(errno));
    *resumed = size_of(file) > 0;
    int rc = *resumed ? 0 : write_from(p, d, "", error);
    if (!rc)
        rc = fetch(file, p, d, error);
    bool nothing = size_of(file) == 0;
    if (fclose(file) != 0 && rc == 0)
        rc = error_set(error, -errno, "%s: cannot be written: %s", d->name, strerror(errno));
    if (!rc)
        rc = check(p->path, d, error);
    if (rc == -EBADMSG || (rc && nothing)) {
        unlink(p->path);
        unlink(p->from);
    }
    return rc;
}

static int name_part(struct part *p, const struct download *d, struct error *error)
{
    if (snprintf(p->path, PATH_MAX, "%s.part", d->path) < PATH_MAX &&
        snprintf(p->from, PATH_MAX, "%s.from", d->path) < PATH_MAX)
        return 0;
    return error_set(error, -ENAMETOOLONG, "%s: the path is too long", d->path);
}

int download_file(const struct download *d, struct error *error)
{
    struct part p = {0};
    bool resumed, known = d->bytes && d->sum.kind != CHECKSUM_NONE;
    int rc = name_part(&p, d, error);

    if (rc)
        return rc;
    if (known && access(d->path, F_OK) == 0 && check(d->path, d, error) == 0)
        return 0;
    unlink(d->path);
    rc = download_part(&p, d, &resumed, error);
    if (rc == -EBADMSG && resumed) /* what was there may have been of another version */
        rc = download_part(&p, d, &resumed, error);
    if (rc == 0 && rename(p.path, d->path) != 0)
        rc = error_set(error, -errno, "%s: %s", d->path, strerror(errno));
    if (rc == 0)
        unlink(p.from);
    return rc;
}
