/* GET /: a page of live captions, all of which this program has in itself. */
#include "bridges/http_world.h"

#include <http_page_files.h> /* made by cmake/embed.cmake */
#include <string.h>

static const char *const headers[] = {
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy",
    "microphone=(self)",
    "Referrer-Policy",
    "no-referrer",
    "Cross-Origin-Opener-Policy",
    "same-origin",
    NULL,
};

void http_page(struct http_request *r)
{
    static const struct {
        const char *path, *type;
        const unsigned char *data;
        size_t size;
    } files[] = {
        {"/", "text/html; charset=utf-8", page_index_html, sizeof page_index_html},
        {"/captions.css", "text/css; charset=utf-8", page_captions_css, sizeof page_captions_css},
        {"/captions.js", "text/javascript; charset=utf-8", page_captions_js,
         sizeof page_captions_js},
        {"/worklet.js", "text/javascript; charset=utf-8", page_worklet_js, sizeof page_worklet_js},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, http_request_path(r)) == 0)
            http_request_answer(r, MHD_HTTP_OK, files[i].type, files[i].data, files[i].size,
                                headers);
}
