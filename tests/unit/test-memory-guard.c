/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of guarded mappings: files shrink below them, and the program lives on; what is not guarded is
 * left to who handled it before.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "qemu/memory-guard.h"

#define PAGES 4

typedef struct Mapping {
    int fd, event;
    size_t page, bytes;
    volatile uint8_t *base;
} Mapping;

static void set_up(Mapping *map)
{
    map->page = sysconf(_SC_PAGESIZE);
    map->bytes = PAGES * map->page;
    map->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    map->fd = memfd_create("guarded", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(map->fd, map->bytes), ==, 0);
    map->base = mmap(NULL, map->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
    g_assert_true(map->base != MAP_FAILED);
    memset((void *)map->base, 0x5a, map->bytes);
}

static void tear_down(Mapping *map)
{
    munmap((void *)map->base, map->bytes);
    close(map->fd);
    close(map->event);
}

static uint64_t nr_events(const Mapping *map)
{
    uint64_t count = 0;

    return read(map->event, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void test_lost_pages(void)
{
    Mapping map;
    MemoryGuard *guard;

    set_up(&map);
    guard = memory_guard_new((void *)map.base, map.bytes, map.event);
    g_assert_cmphex(map.base[0], ==, 0x5a);
    g_assert_false(memory_guard_is_damaged(guard));
    g_assert_cmpint(ftruncate(map.fd, map.page), ==, 0);
    g_assert_cmphex(map.base[2 * map.page + 5], ==, 0);
    g_assert_true(memory_guard_is_damaged(guard));
    g_assert_cmpuint(nr_events(&map), ==, 1);
    map.base[2 * map.page + 5] = 7;
    g_assert_cmphex(map.base[2 * map.page + 5], ==, 7);
    g_assert_cmpuint(nr_events(&map), ==, 0);
    map.base[map.bytes - 1] = 8;
    g_assert_cmpuint(nr_events(&map), ==, 1);
    /* What is still there is still shared. */
    g_assert_cmphex(map.base[0], ==, 0x5a);
    g_assert_cmpint(pwrite(map.fd, "\x11", 1, 0), ==, 1);
    g_assert_cmphex(map.base[0], ==, 0x11);
    memory_guard_free(guard);
    tear_down(&map);
}

static gpointer touch(gpointer opaque)
{
    Mapping *map = opaque;

    return GUINT_TO_POINTER(map->base[map->page]);
}

static void lose_one_of_three(unsigned int lost)
{
    Mapping maps[3];
    MemoryGuard *guards[3];

    for (unsigned int i = 0; i < 3; i++) {
        set_up(&maps[i]);
        guards[i] = memory_guard_new((void *)maps[i].base, maps[i].bytes, maps[i].event);
    }
    g_assert_cmpint(ftruncate(maps[lost].fd, 0), ==, 0);
    g_assert_null(g_thread_join(g_thread_new("touch", touch, &maps[lost])));
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpint(memory_guard_is_damaged(guards[i]), ==, i == lost);
        g_assert_cmpuint(nr_events(&maps[i]), ==, i == lost);
        memory_guard_free(guards[i]);
        tear_down(&maps[i]);
    }
}

static void test_any_thread(void)
{
    for (unsigned int lost = 0; lost < 3; lost++) {
        lose_one_of_three(lost);
    }
}

/* The handler of a program that was there first. */
static void on_sigbus(int signal_number)
{
    _exit(0);
}

static void guard_something(Mapping *map)
{
    signal(SIGBUS, on_sigbus);
    signal(SIGALRM, SIG_DFL);
    alarm(10);
    set_up(map);
    memory_guard_free(memory_guard_new((void *)map->base, map->bytes, map->event));
}

static void test_elsewhere(void)
{
    if (g_test_subprocess()) {
        Mapping map;

        guard_something(&map);
        g_assert_cmpint(ftruncate(map.fd, 0), ==, 0);
        map.base[0] = 1;
        g_assert_not_reached();
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
}

static void test_sent(void)
{
    if (g_test_subprocess()) {
        Mapping map;

        guard_something(&map);
        raise(SIGBUS);
        g_assert_not_reached();
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory-guard/lost-pages-read-as-zeroes", test_lost_pages);
    g_test_add_func("/memory-guard/in-any-thread", test_any_thread);
    g_test_add_func("/memory-guard/faults-elsewhere-are-for-others", test_elsewhere);
    g_test_add_func("/memory-guard/a-signal-that-was-sent-is-for-others", test_sent);
    return g_test_run();
}
