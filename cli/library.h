/* Functions of libraries that are loaded when they are needed: a server without a desktop has none
 * of them.
 */
#ifndef EARSHOT_CLI_LIBRARY_H
#define EARSHOT_CLI_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* function: where its pointer is to be, of whatever type; ISO C has no conversion from a pointer to
 * data to one to a function. library: of dlopen; NULL: there is none. False: it is not there. */
static inline bool library_find(void *library, const char *name, void *function)
{
    void *symbol = library ? dlsym(library, name) : NULL;
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

#endif
