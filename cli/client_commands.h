/* The commands that client.c lists: what each takes, and what runs it. Each returns an exit code.
 */
#ifndef EARSHOT_CLI_CLIENT_COMMANDS_H
#define EARSHOT_CLI_CLIENT_COMMANDS_H

#include "cli/bus_client.h"

extern const struct bus_client_option client_ask_options[], client_captions_options[],
    client_devices_options[], client_ears_options[], client_history_options[],
    client_keys_options[], client_listen_options[], client_overlay_options[],
    client_record_options[], client_run_options[], client_speak_options[], client_states_options[],
    client_status_options[], client_type_options[];

int client_ask(struct bus_client *c);
int client_cancel(struct bus_client *c);
int client_captions(struct bus_client *c);
int client_devices(struct bus_client *c);
int client_ears(struct bus_client *c);
int client_finish(struct bus_client *c);
int client_history(struct bus_client *c);
int client_keys(struct bus_client *c);
int client_listen(struct bus_client *c);
int client_mute(struct bus_client *c);
int client_notify(struct bus_client *c);
int client_overlay(struct bus_client *c);
int client_record(struct bus_client *c);
int client_reload(struct bus_client *c);
int client_reset(struct bus_client *c);
int client_restore(struct bus_client *c);
int client_run(struct bus_client *c);
int client_save(struct bus_client *c);
int client_speak(struct bus_client *c);
int client_states(struct bus_client *c);
int client_status(struct bus_client *c);
int client_type(struct bus_client *c);
int client_unmute(struct bus_client *c);

#endif
