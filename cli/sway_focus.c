/* Asks Sway for its tree of windows (sway-ipc(7)). The tree has their titles: it is freed at once.
 */
#include "cli/sway_focus.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    GET_TREE = 4,
    TREE_MAX_BYTES = 16 << 20,
};

struct header {
    char magic[6];
    uint32_t size, type;
} __attribute__((packed));

static const struct header question = {{'i', '3', '-', 'i', 'p', 'c'}, 0, GET_TREE};

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval second = {1, 0};
    if (!path || strlen(path) >= sizeof address.sun_path)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool receive(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static cJSON *ask(int fd)
{
    struct header h;
    cJSON *tree = NULL;
    if (send(fd, &question, sizeof question, MSG_NOSIGNAL) != (ssize_t)sizeof question ||
        !receive(fd, &h, sizeof h) || h.type != GET_TREE || h.size > TREE_MAX_BYTES)
        return NULL;
    char *text = malloc(h.size);
    if (text && receive(fd, text, h.size))
        tree = cJSON_ParseWithLength(text, h.size);
    free(text);
    return tree;
}

/* The id of the node that has the focus; 0: none. */
static uint64_t find_focus(const cJSON *node)
{
    static const char *const lists[] = {"nodes", "floating_nodes"};
    uint64_t found = 0;
    if (cJSON_IsTrue(cJSON_GetObjectItem(node, "focused")))
        return (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItem(node, "id"));
    for (size_t i = 0; i < 2 && !found; i++) {
        const cJSON *list = cJSON_GetObjectItem(node, lists[i]);
        for (const cJSON *child = list ? list->child : NULL; child && !found; child = child->next)
            found = find_focus(child);
    }
    return found;
}

bool sway_focus(uint64_t *window)
{
    int fd = connect_to(getenv("SWAYSOCK"));
    cJSON *tree = fd >= 0 ? ask(fd) : NULL;
    if (fd >= 0)
        close(fd);
    if (tree)
        *window = find_focus(tree);
    cJSON_Delete(tree);
    return tree != NULL;
}
