/* What FFmpeg reads (m4a, mp4, webm, aac, wma, amr, ...), where its program is installed: it runs
 * as a child and writes WAV into a pipe. A program, because its libraries' structs change with each
 * major version, which a dlopen at run time would have to know; and because what parses a
 * stranger's file is in a process of its own. The child gets the file as a descriptor, so that no
 * name is taken for an option or a protocol, and only formats that hold sound themselves, no
 * playlists.
 */
#include "audio/decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORMATS                                                                                    \
    "mov,matroska,webm,aac,asf,amr,amrnb,amrwb,avi,flv,mpegts,mpeg,ac3,eac3,dts,ape,wv,tta,tak,"   \
    "caf,w64,wav,ogg,mp3,flac,aiff,au,rm,voc,dsf,mpc,mpc8,loas,qcp,nut"

extern char **environ;

enum { FILE_FD = 3 }; /* in the child */
#define FILE_URL "file:/proc/self/fd/3"

struct ffmpeg {
    struct decoder base;
    struct input *input;
    struct decoder *wav;
    pid_t pid;     /* 0: it has been waited for */
    int errors_fd; /* what it says */
};

static struct ffmpeg *cast(struct decoder *d)
{
    return (struct ffmpeg *)(void *)d;
}

/* The child's descriptors are none below FILE_FD + 1 here, so that no dup2 hits another's source.
 */
static int start(struct ffmpeg *f, int file_fd, int out_fd)
{
    static char *const arguments[] = {"ffmpeg",
                                      "-nostdin",
                                      "-hide_banner",
                                      "-v",
                                      "error",
                                      "-protocol_whitelist",
                                      "file",
                                      "-format_whitelist",
                                      FORMATS,
                                      "-i",
                                      FILE_URL,
                                      "-map",
                                      "0:a:0",
                                      "-c:a",
                                      "pcm_f32le",
                                      "-f",
                                      "wav",
                                      "pipe:1",
                                      NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, f->errors_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, file_fd, FILE_FD);
    int rc = posix_spawnp(&f->pid, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc)
        f->pid = 0;
    return -rc;
}

static int fd_above(int fd)
{
    int above = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FILE_FD + 1);
    if (fd >= 0)
        close(fd);
    return above;
}

/* The child's exit status; its first words. */
static int wait_for_end(struct ffmpeg *f, char *said, size_t capacity)
{
    int status = 0;
    if (f->pid)
        while (waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
            ;
    f->pid = 0;
    ssize_t n = pread(f->errors_fd, said, capacity - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    /* "[mov,mp4 @ 0x55...] what is wrong", "file:/proc/self/fd/3: what is wrong" */
    char *what = *said == '[' || strstr(said, FILE_URL) == said
                     ? strstr(said, *said == '[' ? "] " : ": ")
                     : NULL;
    if (what)
        memmove(said, what + 2, strlen(what + 2) + 1);
    return status;
}

static int64_t ffmpeg_read(struct decoder *d, float *samples, size_t frames)
{
    struct ffmpeg *f = cast(d);
    char said[200];
    int64_t n = f->wav->ops->read(f->wav, samples, frames);
    if (n != 0 || !f->pid)
        return n;
    if (wait_for_end(f, said, sizeof said) || *said)
        decoder_blame(d, "it is cut short, or damaged (ffmpeg: %s)", said);
    return 0;
}

static void ffmpeg_destroy(struct decoder *d)
{
    struct ffmpeg *f = cast(d);
    if (f->wav)
        f->wav->ops->destroy(f->wav);
    input_close(f->input);
    if (f->pid) {
        kill(f->pid, SIGKILL);
        while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (f->errors_fd >= 0)
        close(f->errors_fd);
    free(f);
}

static const struct decoder_ops ffmpeg_ops = {ffmpeg_read, ffmpeg_destroy};

/* Runs it over the file; its sound comes out of f->input. */
static int run(struct ffmpeg *f, int file_fd)
{
    int pipe_fds[2];
    f->errors_fd = fd_above(memfd_create("earshot-ffmpeg", MFD_CLOEXEC));
    if (f->errors_fd < 0 || pipe2(pipe_fds, O_CLOEXEC))
        return -errno;
    int file = fcntl(file_fd, F_DUPFD_CLOEXEC, FILE_FD + 1), out = fd_above(pipe_fds[1]);
    int rc = file < 0 || out < 0 ? -EMFILE : start(f, file, out);
    if (file >= 0)
        close(file);
    if (out >= 0)
        close(out);
    if (!rc)
        return input_open_fd(&f->input, pipe_fds[0]);
    close(pipe_fds[0]);
    return rc;
}

int ffmpeg_create(struct decoder **out, struct input *in, struct error *error)
{
    char said[200];
    int fd = input_file(in);
    if (fd < 0)
        return error_set(error, fd, "it cannot be copied into memory");
    struct ffmpeg *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(error, -ENOMEM, "out of memory");
    f->base.ops = &ffmpeg_ops;
    f->errors_fd = -1;
    int rc = run(f, fd);
    if (rc)
        error_set(error, rc, "ffmpeg: %s", strerror(-rc));
    else if (pcm_create(&f->wav, f->input, NULL)) {
        wait_for_end(f, said, sizeof said);
        rc = error_set(error, -EINVAL, "ffmpeg: %s", said);
    }
    if (rc) {
        ffmpeg_destroy(&f->base);
        return rc;
    }
    f->base.rate_hz = f->wav->rate_hz;
    f->base.channels = f->wav->channels;
    *out = &f->base;
    return 0;
}
