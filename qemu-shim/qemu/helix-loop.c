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

typedef struct HelixLogLine {
    enum helix_log_level level;
    char text[];
} HelixLogLine;

typedef struct HelixCall {
    void (*fn)(void *opaque);
    void *opaque;
    QemuSemaphore done;
} HelixCall;

bool helix_loop_may_read(void *opaque)
{
    HelixExport *export = opaque;

    return export->display_known &&
           qemu_thread_is_self(&export->display_thread);
}

static void helix_loop_run_io(void *opaque)
{
    HelixExport *export = opaque;

    helix_shim_io_run(export->shim);
}

void helix_loop_entered(HelixExport *export)
{
    /* Not at start: on macOS another thread than this one initialises QEMU. */
    if (!export->display_known) {
        qemu_thread_get_self(&export->display_thread);
        export->display_known = true;
    }
    g_assert(helix_loop_may_read(export));
}

static void helix_loop_run_display(void *opaque)
{
    HelixExport *export = opaque;

    helix_loop_entered(export);
    export->run_display(export);
}

bool helix_loop_start(HelixExport *export,
                      void (*run_display)(HelixExport *export), Error **errp)
{
    IOThread *iothread = iothread_create("helix-export", errp);

    if (!iothread) {
        return false;
    }
    export->run_display = run_display;
    export->io = iothread_get_aio_context(iothread);
    export->io_bh = aio_bh_new(export->io, helix_loop_run_io, export);
    export->io_timer = aio_timer_new(export->io, QEMU_CLOCK_REALTIME, SCALE_NS,
                                     helix_loop_run_io, export);
    /*
     * Not qemu_get_aio_context(): the block layer polls that context on any
     * thread that waits for a request, such as a vCPU that writes to pflash,
     * and there is no GL context there.
     */
    export->display_bh =
        aio_bh_new(iohandler_get_aio_context(), helix_loop_run_display, export);
    export->display_timer =
        timer_new_ns(QEMU_CLOCK_REALTIME, helix_loop_run_display, export);
    return true;
}

static void helix_loop_call_bh(void *opaque)
{
    HelixCall *call = opaque;

    call->fn(call->opaque);
    qemu_sem_post(&call->done);
}

bool helix_loop_call(HelixExport *export, void (*fn)(void *opaque),
                     void *opaque, int timeout_ms)
{
    HelixCall *call = g_new0(HelixCall, 1);

    /*
     * Not aio_wait_bh_oneshot(): that polls the main loop meanwhile, and it
     * must hold the BQL, which an exit handler does not.
     */
    call->fn = fn;
    call->opaque = opaque;
    qemu_sem_init(&call->done, 0);
    aio_bh_schedule_oneshot(export->io, helix_loop_call_bh, call);
    if (timeout_ms < 0) {
        qemu_sem_wait(&call->done);
    } else if (qemu_sem_timedwait(&call->done, timeout_ms) < 0) {
        return false; /* the io thread has `call` still, and QEMU exits */
    }
    qemu_sem_destroy(&call->done);
    g_free(call);
    return true;
}

static void helix_loop_print(enum helix_log_level level, const char *text)
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

    helix_loop_print(line->level, line->text);
}

void helix_loop_log(void *opaque, enum helix_log_level level, const char *text)
{
    HelixExport *export = opaque;
    size_t size = strlen(text) + 1;
    HelixLogLine *line;

    if (qemu_get_current_aio_context() == export->io) {
        helix_loop_print(level, text);
        return;
    }
    line = g_malloc(sizeof(*line) + size);
    line->level = level;
    memcpy(line->text, text, size);
    aio_bh_schedule_oneshot(export->io, helix_loop_log_bh, line);
}

/* ---- helix_loop_ops ---- */

static void helix_loop_watch(void *opaque, int fd, void (*readable)(void *),
                             void (*writable)(void *), void *watch_opaque)
{
    HelixExport *export = opaque;

    helix_compat_set_fd_handler(export->io, fd, readable, writable,
                                watch_opaque);
}

/*
 * By the time that is left: QEMU's clock is helix_now_ns()'s on Linux, not for
 * sure elsewhere.
 */
static void helix_loop_arm(QEMUTimer *timer, uint64_t deadline_ns)
{
    uint64_t now = helix_now_ns();
    int64_t left = deadline_ns > now ? deadline_ns - now : 0;

    if (deadline_ns == HELIX_NONE64) {
        timer_del(timer);
    } else {
        timer_mod_ns(timer, qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + left);
    }
}

static void helix_loop_io_timer(void *opaque, uint64_t deadline_ns)
{
    HelixExport *export = opaque;

    helix_loop_arm(export->io_timer, deadline_ns);
}

static void helix_loop_display_timer(void *opaque, uint64_t deadline_ns)
{
    HelixExport *export = opaque;

    helix_loop_arm(export->display_timer, deadline_ns);
}

static void helix_loop_wake_io(void *opaque)
{
    HelixExport *export = opaque;

    qemu_bh_schedule(export->io_bh);
}

void helix_loop_wake_display(void *opaque)
{
    HelixExport *export = opaque;

    qemu_bh_schedule(export->display_bh);
}

const struct helix_loop_ops helix_loop_ops = {
    .watch = helix_loop_watch,
    .io_timer = helix_loop_io_timer,
    .wake_io = helix_loop_wake_io,
    .wake_display = helix_loop_wake_display,
    .display_timer = helix_loop_display_timer,
};
