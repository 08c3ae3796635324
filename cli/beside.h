/* Programs that are packages of their own, or need libraries that earshot does without. Main
 * thread.
 */
#ifndef EARSHOT_CLI_BESIDE_H
#define EARSHOT_CLI_BESIDE_H

/* Becomes a program: the one of that name beside this one, else in PATH. argv ends with NULL. Comes
 * back with -errno. */
int beside_become(const char *program, char *const argv[]);

#endif
