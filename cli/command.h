/* The offline commands. Each gets its own arguments (argv[0] is the command) and returns an exit
 * code: 0 done, 1 something failed, 2 usage. That the output is lost is found and said by main().
 */
#ifndef EARSHOT_CLI_COMMAND_H
#define EARSHOT_CLI_COMMAND_H

/* "earshot NAME", to stand in argv[0] while options are read; until the next call. */
char *command_title(const char *name);

int command_transcribe(int argc, char **argv);
int command_dump(int argc, char **argv);
int command_model(int argc, char **argv);
int command_bench(int argc, char **argv);

#endif
