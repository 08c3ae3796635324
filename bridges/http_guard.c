/* Who may ask what. */
#include "bridges/http_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROTOCOL_PREFIX "bearer."

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

int http_guard_add_host(struct http_guard *g, const char *name, struct error *error)
{
    size_t size = strlen(name);
    if (!size || size >= HTTP_HOST_BYTES || strspn(name, letters) != size)
        return error_set(error, -EINVAL, "host \"%s\" is no name; write it as ear.example.org",
                         name);
    if (g->host_count == HTTP_HOSTS_MAX)
        return error_set(error, -ENOBUFS, "host \"%s\": there are %d already", name,
                         HTTP_HOSTS_MAX);
    snprintf(g->hosts[g->host_count++], HTTP_HOST_BYTES, "%s", name);
    return 0;
}

int http_guard_read_token(struct http_guard *g, const char *path, struct error *error)
{
    char line[HTTP_TOKEN_MOST + 3] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return error_set(error, -errno, "token-file \"%s\" cannot be read: %s", path,
                         strerror(errno));
    bool there = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    size_t size = strcspn(line, "\r\n");
    line[size] = '\0';
    if (!there || size < HTTP_TOKEN_LEAST || size > HTTP_TOKEN_MOST ||
        strspn(line, letters) != size)
        return error_set(error, -EINVAL,
                         "token-file \"%s\": its first line is no token: %d to %d of A-Z a-z 0-9 "
                         "- . _ ~; try: openssl rand -hex 32",
                         path, HTTP_TOKEN_LEAST, HTTP_TOKEN_MOST);
    memcpy(g->token, line, size + 1);
    return 0;
}

/* A number cannot be rebound: no name was asked for. */
static bool is_number(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char inside[INET6_ADDRSTRLEN + 1];
    size_t size = strlen(host);
    if (*host != '[')
        return inet_pton(AF_INET, host, address) == 1;
    if (size < 3 || size - 2 >= sizeof inside || host[size - 1] != ']')
        return false;
    snprintf(inside, sizeof inside, "%.*s", (int)(size - 2), host + 1);
    return inet_pton(AF_INET6, inside, address) == 1;
}

/* Takes ":PORT" off the end; false: what is there is no port. */
static bool cut_port(char *host)
{
    char *colon = strrchr(host, ':');
    if (!colon || strchr(colon, ']'))
        return true;
    size_t digits = strspn(colon + 1, "0123456789");
    *colon = '\0';
    return digits <= 5 && !colon[1 + digits];
}

bool http_guard_has_host(const struct http_guard *g, const char *host)
{
    char name[HTTP_HOST_BYTES + 8];
    if (!host || strlen(host) >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%s", host);
    if (!cut_port(name))
        return false;
    if (is_number(name) || strcasecmp(name, "localhost") == 0)
        return true;
    for (size_t i = 0; i < g->host_count; i++)
        if (strcasecmp(name, g->hosts[i]) == 0)
            return true;
    return false;
}

bool http_guard_is_same(const char *origin, const char *host)
{
    if (!origin)
        return true;
    size_t scheme = strncasecmp(origin, "http://", 7) == 0    ? 7
                    : strncasecmp(origin, "https://", 8) == 0 ? 8
                                                              : 0;
    return scheme && host && strcasecmp(origin + scheme, host) == 0;
}

/* Takes as long whatever the bytes are. */
static bool is_token(const struct http_guard *g, const char *text, size_t size)
{
    return size == strlen(g->token) && gnutls_memcmp(text, g->token, size) == 0;
}

bool http_guard_admits(const struct http_guard *g, const char *authorization)
{
    if (!*g->token)
        return true;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    const char *text = authorization + 7;
    text += strspn(text, " ");
    return is_token(g, text, strcspn(text, " \t"));
}

bool http_guard_admits_protocol(const struct http_guard *g, const char *protocols)
{
    static const size_t prefix = sizeof PROTOCOL_PREFIX - 1;
    if (!*g->token)
        return true;
    for (const char *p = protocols; p && *p;) {
        p += strspn(p, ", \t");
        size_t size = strcspn(p, ", \t");
        if (size > prefix && strncmp(p, PROTOCOL_PREFIX, prefix) == 0 &&
            is_token(g, p + prefix, size - prefix))
            return true;
        p += size;
    }
    return false;
}
