/* What the journal's messages are of, for who looks for them (docs/desktop.md has their fields).
 * They never change; a new kind of message gets a new one (systemd-id128 new). */
#ifndef EARSHOT_DAEMON_JOURNAL_IDS_H
#define EARSHOT_DAEMON_JOURNAL_IDS_H

#define JOURNAL_STARTED "1fb038697f184670b526442723f23f6e"
#define JOURNAL_LOADED "51e51bd84645447f92d7b6294e60052e"
#define JOURNAL_LISTENING "b97a6dea892f45ca91c30e55d29982af"
#define JOURNAL_NO_DEVICE "7c26b8c0f324488093d075d26ab46746"
#define JOURNAL_AUDIO_LOST "3e703b2858224f599781c9918f1cc690"
#define JOURNAL_UTTERANCE "13b22eec3a73404aa3f5cd6ce1ab8139"
#define JOURNAL_FAILED "8a881a3a2344425995fca6cb5f14c5b1"

#endif
