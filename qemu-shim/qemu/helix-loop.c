/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's two loops: an IOThread of our own for the sockets, QEMU's main
 * loop for the screen.
 *
 * Wake-ups are bottom halves made once, not aio_bh_schedule_oneshot(): they
 * coalesce and allocate nothing, so waking costs the main loop a store.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "helix-glue.h"
#include "helix-platform.h"
#include "trace.h"

struct HelixLoop {
    IOThread *iothread;
    AioContext *io;
    struct helix_shim *shim;
    QEMUBH *io_bh;
    QEMUTimer *io_timer;
    QEMUBH *display_bh;
    QEMUTimer *display_timer;
    QemuThread display_thread; /* what runs the main loop */
    bool display_known; /* it is noted */
};

typedef struct HelixLogLine {
    enum helix_log_level level;
    char text[];
} HelixLogLine;

typedef struct HelixCall {
    void (*fn)(void *opaque);
    void *opaque;
    QemuSemaphore done;
    int references; /* caller and callee: the last one frees */
} HelixCall;

static void helix_loop_io_run(void *opaque)
{
    HelixLoop *loop = opaque;

    if (loop->shim) {
        helix_shim_io_run(loop->shim);
    }
}

static void helix_loop_display_run(void *opaque)
{
    HelixLoop *loop = opaque;

    /* Not at start: on macOS another thread than this one initialises QEMU. */
    if (!loop->display_known) {
        qemu_thread_get_self(&loop->display_thread);
        loop->display_known = true;
    }
    /*
     * Only main_loop_wait() runs the bottom halves of the I/O handlers'
     * context and the timers of the main list; no nested polling does.
     */
    g_assert(helix_loop_may_read(loop));
    if (loop->shim) {
        /* Somebody may have begun to watch, or the VM to run. */
        helix_hook_catch_up();
        helix_shim_display_run(loop->shim);
    }
}

HelixLoop *helix_loop_new(Error **errp)
{
    HelixLoop *loop;
    IOThread *iothread = iothread_create("helix-export", errp);

    if (!iothread) {
        return NULL;
    }
    loop = g_new0(HelixLoop, 1);
    loop->iothread = iothread;
    loop->io = iothread_get_aio_context(iothread);
    loop->io_bh = aio_bh_new(loop->io, helix_loop_io_run, loop);
    loop->io_timer = aio_timer_new(loop->io, QEMU_CLOCK_REALTIME, SCALE_NS,
                                   helix_loop_io_run, loop);
    /*
     * Not qemu_get_aio_context(): the block layer polls that one on whatever
     * thread waits for a request, such as a vCPU that writes to pflash, and
     * there is no GL context there.
     */
    loop->display_bh =
        aio_bh_new(iohandler_get_aio_context(), helix_loop_display_run, loop);
    loop->display_timer =
        timer_new_ns(QEMU_CLOCK_REALTIME, helix_loop_display_run, loop);
    return loop;
}

void helix_loop_set_shim(HelixLoop *loop, struct helix_shim *shim)
{
    loop->shim = shim;
}

bool helix_loop_may_read(HelixLoop *loop)
{
    return loop->display_known && qemu_thread_is_self(&loop->display_thread);
}

void helix_loop_wake_display(HelixLoop *loop)
{
    qemu_bh_schedule(loop->display_bh);
}

static void helix_call_unref(HelixCall *call)
{
    if (qatomic_fetch_dec(&call->references) == 1) {
        qemu_sem_destroy(&call->done);
        g_free(call);
    }
}

static void helix_loop_call_bh(void *opaque)
{
    HelixCall *call = opaque;

    call->fn(call->opaque);
    qemu_sem_post(&call->done);
    helix_call_unref(call);
}

bool helix_loop_call(HelixLoop *loop, void (*fn)(void *opaque), void *opaque,
                     int timeout_ms)
{
    HelixCall *call = g_new0(HelixCall, 1);
    bool done = true;

    /*
     * Not aio_wait_bh_oneshot(): that polls the main loop meanwhile, and it
     * must hold the BQL, which an exit handler does not.
     */
    call->fn = fn;
    call->opaque = opaque;
    call->references = 2;
    qemu_sem_init(&call->done, 0);
    aio_bh_schedule_oneshot(loop->io, helix_loop_call_bh, call);
    if (timeout_ms < 0) {
        qemu_sem_wait(&call->done);
    } else {
        done = qemu_sem_timedwait(&call->done, timeout_ms) == 0;
    }
    helix_call_unref(call);
    return done;
}

static void helix_log_line(enum helix_log_level level, const char *text)
{
    trace_helix_export_log(level, text);
    switch (level) {
    case HELIX_LOG_ERROR:
        error_report("helix-export: %s", text);
        break;
    case HELIX_LOG_WARN:
        warn_report("helix-export: %s", text);
        break;
    case HELIX_LOG_NOTICE:
        info_report("helix-export: %s", text);
        break;
    case HELIX_LOG_INFO:
        /* QEMU is silent when all is well: the trace event has it. */
        break;
    }
}

static void helix_loop_log_bh(void *opaque)
{
    g_autofree HelixLogLine *line = opaque;

    helix_log_line(line->level, line->text);
}

void helix_loop_log(HelixLoop *loop, enum helix_log_level level,
                    const char *text)
{
    size_t size = strlen(text) + 1;
    HelixLogLine *line;

    if (qemu_get_current_aio_context() == loop->io) {
        helix_log_line(level, text);
        return;
    }
    line = g_malloc(sizeof(*line) + size);
    line->level = level;
    memcpy(line->text, text, size);
    aio_bh_schedule_oneshot(loop->io, helix_loop_log_bh, line);
}

static void helix_loop_nothing(void *opaque)
{
}

void helix_loop_free(HelixLoop *loop)
{
    if (!loop) {
        return;
    }
    /* Lines that are still on their way are printed first. */
    helix_loop_call(loop, helix_loop_nothing, NULL, -1);
    timer_free(loop->display_timer);
    qemu_bh_delete(loop->display_bh);
    timer_free(loop->io_timer);
    qemu_bh_delete(loop->io_bh);
    iothread_destroy(loop->iothread);
    g_free(loop);
}

/*
 * QEMU's clock of a helix_now_ns() time: the same clock on Linux, not sure
 * to be elsewhere.
 */
static int64_t helix_loop_deadline(uint64_t deadline_ns)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
    uint64_t helix_now = helix_now_ns();

    return deadline_ns > helix_now ? now + (int64_t)(deadline_ns - helix_now)
                                   : now;
}

static void helix_loop_arm(QEMUTimer *timer, uint64_t deadline_ns)
{
    if (deadline_ns == HELIX_NONE64) {
        timer_del(timer);
    } else {
        timer_mod_ns(timer, helix_loop_deadline(deadline_ns));
    }
}

static void helix_loop_watch(void *opaque, int fd, void (*readable)(void *),
                             void (*writable)(void *), void *watch_opaque)
{
    HelixLoop *loop = opaque;

    helix_compat_set_fd_handler(loop->io, fd, readable, writable, watch_opaque);
}

static void helix_loop_io_timer(void *opaque, uint64_t deadline_ns)
{
    HelixLoop *loop = opaque;

    helix_loop_arm(loop->io_timer, deadline_ns);
}

static void helix_loop_wake_io(void *opaque)
{
    HelixLoop *loop = opaque;

    qemu_bh_schedule(loop->io_bh);
}

static void helix_loop_wake_display_op(void *opaque)
{
    helix_loop_wake_display(opaque);
}

static void helix_loop_display_timer(void *opaque, uint64_t deadline_ns)
{
    HelixLoop *loop = opaque;

    helix_loop_arm(loop->display_timer, deadline_ns);
}

const struct helix_loop_ops helix_loop_ops = {
    .watch = helix_loop_watch,
    .io_timer = helix_loop_io_timer,
    .wake_io = helix_loop_wake_io,
    .wake_display = helix_loop_wake_display_op,
    .display_timer = helix_loop_display_timer,
};
