/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Line editing by libedit, see line-editor.h.
 *
 * The first word of a line, and the one behind `help`, completes to the names of commands.
 */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "tools/qemu-io/line-editor.h"

#ifdef CONFIG_LIBEDIT

#include <histedit.h>
#include <locale.h>
#include <wchar.h>

#define HISTORY_SIZE 200

static const char *prompt(EditLine *el)
{
    return IO_PROMPT;
}

/*
 * One key: libedit's way to read, put on the event loop.  Returns 1, 0 at the end, -1 on an error.
 */
static int read_key(EditLine *el, wchar_t *key)
{
    mbstate_t state = {0};
    char byte;

    for (;;) {
        ssize_t nr = io_read_input(&byte, 1);
        size_t used;

        if (nr <= 0) {
            return nr;
        }
        used = mbrtowc(key, &byte, 1, &state);
        if (used == (size_t)-1) {
            /* No text in this locale; begin again with the next byte. */
            state = (mbstate_t){0};
        } else if (used != (size_t)-2) {
            return 1;
        }
    }
}

/* ---- completion ---- */

/* How many bytes of @text, from its beginning, all @names share. */
static size_t common_prefix(const GPtrArray *names)
{
    const char *first = g_ptr_array_index(names, 0);
    size_t length = strlen(first);

    for (guint i = 1; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        size_t same = 0;

        while (same < length && name[same] == first[same]) {
            same++;
        }
        length = same;
    }
    return length;
}

static GPtrArray *commands_with_prefix(const char *prefix)
{
    GPtrArray *names = g_ptr_array_new();
    size_t nr_commands;
    const IoCommand *const *commands = io_all_commands(&nr_commands);

    for (size_t i = 0; i < nr_commands; i++) {
        if (g_str_has_prefix(commands[i]->name, prefix)) {
            g_ptr_array_add(names, (gpointer)commands[i]->name);
        }
    }
    return names;
}

/* The beginning of a command name that ends at the cursor; NULL where none can stand there. */
static char *word_to_complete(EditLine *el)
{
    const LineInfo *info = el_line(el);
    g_autofree char *text = g_strndup(info->buffer, info->cursor - info->buffer);
    const char *word = text + strspn(text, " \t");

    if (g_str_has_prefix(word, "help ") || g_str_has_prefix(word, "? ")) {
        word = strchr(word, ' ');
        word += strspn(word, " \t");
    }
    return strpbrk(word, " \t") ? NULL : g_strdup(word);
}

static unsigned char complete(EditLine *el, int key)
{
    g_autofree char *word = word_to_complete(el);
    g_autoptr(GPtrArray) names = word ? commands_with_prefix(word) : NULL;
    g_autofree char *addition = NULL;
    const char *first;
    size_t typed, common;

    if (!names || names->len == 0) {
        return CC_ERROR;
    }
    first = g_ptr_array_index(names, 0);
    typed = strlen(word);
    common = common_prefix(names);
    if (names->len > 1 && common == typed) {
        printf("\n");
        for (guint i = 0; i < names->len; i++) {
            printf("%s%s", i ? "  " : "", (const char *)g_ptr_array_index(names, i));
        }
        printf("\n");
        return CC_REDISPLAY;
    }
    addition =
        g_strdup_printf("%.*s%s", (int)(common - typed), first + typed, names->len == 1 ? " " : "");
    return el_insertstr(el, addition) == 0 ? CC_REFRESH : CC_ERROR;
}

/* ---- the loop ---- */

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0';
}

static void run_lines(IoSession *io, EditLine *el, History *hist)
{
    HistEvent event;
    int length;
    const char *line;

    while (!io->is_quitting && (line = el_gets(el, &length)) && length > 0) {
        if (!is_blank(line)) {
            history(hist, &event, H_ENTER, line);
        }
        io_run_line(io, line);
    }
}

bool io_edit_commands(IoSession *io)
{
    EditLine *el;
    History *hist;
    HistEvent event;

    /* Keys may be of more than one byte. */
    setlocale(LC_CTYPE, "");
    el = el_init(error_program_name(), stdin, stdout, stderr);
    if (!el) {
        return false;
    }
    hist = history_init();
    history(hist, &event, H_SETSIZE, HISTORY_SIZE);
    history(hist, &event, H_SETUNIQUE, 1);
    el_set(el, EL_PROMPT, prompt);
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_HIST, history, hist);
    el_set(el, EL_SIGNAL, 1);
    el_set(el, EL_GETCFN, read_key);
    el_set(el, EL_ADDFN, "complete-command", "Complete the name of a command", complete);
    el_set(el, EL_BIND, "^I", "complete-command", NULL);
    run_lines(io, el, hist);
    history_end(hist);
    el_end(el);
    return true;
}

#else

bool io_edit_commands(IoSession *io)
{
    return false;
}

#endif
