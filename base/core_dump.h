/* Speech and words are in the memory of a process; a core dump would put them on the disk, and
 * systemd into its journal's archive. */
#ifndef EARSHOT_BASE_CORE_DUMP_H
#define EARSHOT_BASE_CORE_DUMP_H

/* This process leaves none, and other processes of its user may not read its memory. Processes that
 * it starts are as any. */
void core_dump_forbid(void);

/* Nor do processes that it starts. They may be read: a sound server and rtkit look whose they are.
 */
void core_dump_forbid_children(void);

#endif
