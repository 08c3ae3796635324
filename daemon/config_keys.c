/* The table of the keys, in the order in which the defaults are printed. */
#include "daemon/config_keys.h"

#include "base/phrases.h"
#include "daemon/sources.h"

#define FIELD(name) offsetof(struct config, name)

const struct config_key config_keys[] = {
    {"model", "path", CONFIG_TEXT, FIELD(model), .restart = "model.path", .path = "",
     .help = "The model file; $EARSHOT_MODEL wins over it. Empty: the installed default model."},
    {"model", "backend", CONFIG_CHOICE, FIELD(backend), .restart = "model.backend",
     .choices = "auto cpu cuda cuda:0 cuda:1 cuda:2 cuda:3 cuda:4 cuda:5 cuda:6 cuda:7",
     .help = "Where the model computes. cuda: a GPU, the one with the most free memory or the one\n"
             "of that number. auto: a GPU if the model finds room there, else the cpu."},
    {"model", "fallback", CONFIG_BOOL, FIELD(fallback), .restart = "model.fallback",
     .help =
         "When a GPU fails while it is used: yes: go on on the cpu, with the conversation as it\n"
         "was after the last whole turn. no: State is failed, and the daemon ends."},
    {"model", "threads", CONFIG_INT, FIELD(threads), 0, 256, .restart = "model.threads",
     .help = "Threads of the cpu backend. 0: one per core, at most 8."},
    {"model", "streaming", CONFIG_CHOICE, FIELD(streaming), .restart = "model.streaming",
     .choices = "auto exact alone windowed blocks",
     .help =
         "How an encoder that looks both ways (Whisper's, WavLM's) hears; others ignore it.\n"
         "auto: in blocks where the model file says that it was trained so, else exact.\n"
         "exact: an utterance at its end, as the papers measured; no text while somebody speaks.\n"
         "alone: the same without the silence that fills Whisper's 30 seconds, and faster.\n"
         "windowed: as it comes, through a window that slides over it.\n"
         "blocks: as it comes, block by block, each computed once (Whisper)."},
    {"model", "left_ms", CONFIG_INT, FIELD(left_ms), 0, 30000, .restart = "model.left_ms",
     .help = "A window: what it sees of the past,"},
    {"model", "hop_ms", CONFIG_INT, FIELD(hop_ms), 20, 10000, .restart = "model.hop_ms",
     .help = "what it gives out before it slides on,"},
    {"model", "ahead_ms", CONFIG_INT, FIELD(ahead_ms), 0, 10000, .restart = "model.ahead_ms",
     .help = "and what it waits for. All together at most what the model takes as one utterance."},
    {"audio", "source", CONFIG_TEXT, FIELD(source), .check = source_check, .path = "file:",
     .help =
         "portaudio: pipewire, pulse or default, else any microphone.\n"
         "portaudio:NAME: this one; its name or its description, as `earshot devices` has them.\n"
         "portaudio:default: the sound server's default.\n"
         "file:PATH: a sound file at its own speed; file:PATH:fast: as fast as it can be heard."},
    {"audio", "fallback", CONFIG_BOOL, FIELD(device_fallback),
     .help = "While the microphone of that name is away: yes: hear the default until it is back.\n"
             "no: wait for it."},
    {"audio", "muted", CONFIG_BOOL, FIELD(muted),
     .help = "Start muted: the device stays closed until unmuted."},
    {"audio", "pause_asleep", CONFIG_BOOL, FIELD(pause_asleep),
     .help = "Close the device when the machine goes to sleep, and open it when it wakes.\n"
             "Sleep waits until what is being said is text, five seconds at most."},
    {"audio", "pause_locked", CONFIG_BOOL, FIELD(pause_locked),
     .help =
         "Close the device while the session is locked. GNOME and KDE tell logind (LockedHint);\n"
         "for other lock screens `loginctl lock-session` and `unlock-session` have to."},
    {"audio", "buffer_ms", CONFIG_INT, FIELD(buffer_ms), 500, 60000,
     .help = "Captured audio that can wait while the engine is busy; more is lost and announced."},
    {"speech", "begin_threshold", CONFIG_FLOAT, FIELD(endpoint.begin_threshold), 0.01, 1.0,
     .help = "Probability of speech that opens an utterance."},
    {"speech", "end_threshold", CONFIG_FLOAT, FIELD(endpoint.end_threshold), 0.0, 0.99,
     .help = "Probability of speech under which there is silence."},
    {"speech", "begin_ms", CONFIG_INT, FIELD(endpoint.begin_ms), 10, 2000,
     .help = "Speech that opens an utterance."},
    {"speech", "end_ms", CONFIG_INT, FIELD(endpoint.end_ms), 50, 10000,
     .help = "Silence that closes it."},
    {"speech", "end_min_ms", CONFIG_INT, FIELD(endpoint.end_min_ms), 0, 10000,
     .help =
         "Silence that closes it where what was said sounds finished: the model is sure of the\n"
         "words, they make a sentence, and the last of them does not call for more. 0: none does."},
    {"speech", "open_words", CONFIG_TEXT, FIELD(open_words),
     .help = "The words that do, with spaces between them, and single letters always: who says a\n"
             "number or spells a word pauses within it. *ty: every word that ends so."},
    {"speech", "preroll_ms", CONFIG_INT, FIELD(endpoint.preroll_ms), 0, 2000,
     .help = "Audio from before the opening that belongs to it."},
    {"speech", "tail_ms", CONFIG_INT, FIELD(endpoint.tail_ms), 0, 10000,
     .help = "Audio kept after the last speech; not above end_ms. More where the captions of the\n"
             "model come so much later."},
    {"speech", "max_ms", CONFIG_INT, FIELD(endpoint.max_ms), 1000, 120000,
     .help =
         "The longest utterance, less where the model takes less. What is longer is cut at a\n"
         "pause in its last quarter, or where speech is least likely, and goes on as the next.\n"
         "With aligned captions: after so much it is completed at the end of a sentence,\n"
         "after twice as much in a pause."},
    {"text", "mode", CONFIG_CHOICE, FIELD(mode), .choices = "captions assistant",
     .help = "captions: what was said. assistant: a reply after it, if the model has replies."},
    {"text", "barge_in", CONFIG_BOOL, FIELD(barge_in),
     .help = "A reply that is being made ends when somebody speaks."},
    {"text", "partials", CONFIG_BOOL, FIELD(partials), .help = "Text while somebody speaks."},
    {"text", "partial_ms", CONFIG_INT, FIELD(text.partial_ms), 240, 10000,
     .help = "Speech between two such texts."},
    {"text", "min_confidence", CONFIG_FLOAT, FIELD(text.min_confidence), 0.0, 1.0,
     .help = "What a text of one or two words needs, or it is taken for noise. 0: all is kept."},
    {"text", "min_evidence", CONFIG_FLOAT, FIELD(text.min_evidence), 0.0, 20.0,
     .help =
         "The evidence that makes a sound speech, where the model can tell phones: those within\n"
         "300 ms, and a share of the detector's log-odds. What never has more, not even with its\n"
         "words' confidence, is not told at all, unless the microphone is held. 0: all is speech."},
    {"text", "history", CONFIG_INT, FIELD(history), 1, 100000, .restart = "text.history",
     .help = "Completed utterances that GetTranscript can give."},
    {"text", "keep_history", CONFIG_BOOL, FIELD(keep_history), .restart = "text.keep_history",
     .help = "Keep them on disk, over restarts: in the file history of the state directory\n"
             "($STATE_DIRECTORY, else ~/.local/state/earshot). no: in memory only."},
    {"text", "resume", CONFIG_BOOL, FIELD(resume), .restart = "text.resume",
     .help = "Save the conversation at the end, as \"last\", and go on with it at the start."},
    {"text", "saved_mb", CONFIG_INT, FIELD(saved_mb), 1, 100000,
     .help =
         "The most that the conversations take that SaveState writes, in 10^6 bytes: one more is\n"
         "refused until one is deleted (`earshot states --delete NAME`)."},
    {"wake", "phrase", CONFIG_TEXT, FIELD(wake), .check = phrases_check,
     .help =
         "In assistant mode only what begins with this phrase gets a reply, and is remembered;\n"
         "| is between alternatives, as in: computer|hey computer. Empty: all that is said."},
    {"wake", "follow_up_ms", CONFIG_INT, FIELD(follow_up_ms), 0, 600000,
     .help = "What begins so soon after such a turn needs no phrase. 0: all needs it."},
    {"reply", "temperature", CONFIG_FLOAT, FIELD(text.sampling.temperature), 0, 5,
     .help = "How freely replies and answers choose their words; captions never do.\n"
             "0: always the likeliest. 1: as likely as the model says."},
    {"reply", "top_p", CONFIG_FLOAT, FIELD(text.sampling.top_p), 0, 1,
     .help = "Only the likeliest words that together have this probability. 1: all."},
    {"reply", "top_k", CONFIG_U32, FIELD(text.sampling.top_k), 0, DECODING_TOKENS_MAX,
     .help = "Of those only so many. 0: all."},
    {"reply", "presence_penalty", CONFIG_FLOAT, FIELD(text.sampling.presence_penalty), -5, 5,
     .help = "Against a word that the reply has already."},
    {"reply", "frequency_penalty", CONFIG_FLOAT, FIELD(text.sampling.frequency_penalty), -5, 5,
     .help = "And again for every time that it has it."},
    {"reply", "penalty_decay", CONFIG_FLOAT, FIELD(text.sampling.penalty_decay), 0, 1,
     .help = "What such a time still counts for one word later."},
    {"reply", "seed", CONFIG_U64, FIELD(text.sampling.seed),
     .help = "The same seed gives the same reply. 0: another one every time."},
    {"reply", "max_tokens", CONFIG_U32, FIELD(text.sampling.max_tokens), 0, DECODING_TOKENS_MAX,
     .help = "The longest reply. 0: what the model says."},
    {"recordings", "keep", CONFIG_BOOL, FIELD(recordings.keep),
     .help =
         "Keep the sound of what became text, each utterance as a file (Ogg Opus), with its text\n"
         "beside it (JSON); see docs/recordings.md. Of clients' own audio nothing is kept."},
    {"recordings", "directory", CONFIG_TEXT, FIELD(recordings.directory), .path = "",
     .help = "Where. Empty: recordings in the state directory ($STATE_DIRECTORY, else\n"
             "~/.local/state/earshot). The unit may write nowhere else."},
    {"recordings", "max_mb", CONFIG_INT, FIELD(recordings.max_mb), 1, 100000,
     .help = "The most that they take together, in 10^6 bytes; the oldest go first."},
    {"recordings", "max_days", CONFIG_INT, FIELD(recordings.max_days), 0, 36500,
     .help = "And how long they stay. 0: for ever."},
    {"streams", "max", CONFIG_INT, FIELD(streams), 0, 200,
     .help = "Clients that may send their own audio at once, see docs/streams.md."},
    {"service", "bus", CONFIG_TEXT, FIELD(bus), .restart = "service.bus",
     .help = "The bus that has the service: session, system or an address."},
    {"log", "level", CONFIG_CHOICE, FIELD(log), .choices = "error warning info debug",
     .help = "The log never holds what was said."},
};

const size_t config_key_count = sizeof config_keys / sizeof *config_keys;

_Static_assert(sizeof config_keys / sizeof *config_keys <= CONFIG_NAMES_MAX, "room for every key");
_Static_assert((int)RECORDER_PATH_MAX == (int)CONFIG_TEXT_MAX, "a directory is a text");
