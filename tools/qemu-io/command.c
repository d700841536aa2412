/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands: finding them, splitting a line into words, the checks that all commands share, and
 * help.
 */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "tools/qemu-io/qemu-io.h"

static IoCommandFunc help_run;

static const IoCommand help_command = {
    .name = "help",
    .alias = "?",
    .run = help_run,
    .max_args = 1,
    .args = "[command]",
    .summary = "explain one command, or list all",
};

static const IoCommandGroup help_group = {&help_command, 1};

static int compare_commands(gconstpointer a, gconstpointer b)
{
    const IoCommand *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* Collected and sorted on first use, kept until the program ends. */
static const GPtrArray *command_table(void)
{
    static const IoCommandGroup *const groups[] = {
        &io_rw_commands,  &io_aio_commands,  &io_zone_commands, &io_image_commands,
        &io_map_commands, &io_misc_commands, &help_group,
    };
    static GPtrArray *table;

    if (!table) {
        table = g_ptr_array_new();
        for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
            for (size_t j = 0; j < groups[i]->nr_commands; j++) {
                g_ptr_array_add(table, (gpointer)&groups[i]->commands[j]);
            }
        }
        g_ptr_array_sort(table, compare_commands);
    }
    return table;
}

const IoCommand *const *io_all_commands(size_t *nr_commands)
{
    const GPtrArray *table = command_table();

    *nr_commands = table->len;
    return (const IoCommand *const *)table->pdata;
}

const IoCommand *io_find_command(const char *name)
{
    size_t nr_commands;
    const IoCommand *const *commands = io_all_commands(&nr_commands);

    for (size_t i = 0; i < nr_commands; i++) {
        if (strcmp(commands[i]->name, name) == 0 ||
            (commands[i]->alias && strcmp(commands[i]->alias, name) == 0)) {
            return commands[i];
        }
    }
    return NULL;
}

/* ---- help ---- */

static void print_synopsis(const IoCommand *command, const char *name)
{
    printf("%s %s%s-- %s\n", name, command->args, *command->args ? " " : "", command->summary);
}

bool io_print_usage(const IoCommand *command)
{
    print_synopsis(command, command->name);
    return false;
}

static bool help_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    size_t nr_commands;
    const IoCommand *const *commands = io_all_commands(&nr_commands);

    if (argc == 1) {
        for (size_t i = 0; i < nr_commands; i++) {
            print_synopsis(commands[i], commands[i]->name);
        }
        printf("\nUse 'help commandname' for extended help.\n");
        return true;
    }
    command = io_find_command(argv[1]);
    if (!command) {
        printf("command %s not found\n", argv[1]);
        return false;
    }
    print_synopsis(command, argv[1]);
    if (command->help) {
        printf("\n%s\n", command->help);
    }
    return true;
}

/* ---- running ---- */

static bool check_arg_count(const IoCommand *command, const char *name, int nr_args)
{
    if (nr_args >= command->min_args &&
        (command->max_args == IO_ANY_ARGS || nr_args <= command->max_args)) {
        return true;
    }
    if (command->max_args == IO_ANY_ARGS) {
        error_printf("bad argument count %d to %s, expected at least %d arguments\n", nr_args, name,
                     command->min_args);
    } else if (command->min_args == command->max_args) {
        error_printf("bad argument count %d to %s, expected %d arguments\n", nr_args, name,
                     command->min_args);
    } else {
        error_printf("bad argument count %d to %s, expected between %d and %d arguments\n", nr_args,
                     name, command->min_args, command->max_args);
    }
    return false;
}

static bool run_words(IoSession *io, int argc, char **argv)
{
    const IoCommand *command = io_find_command(argv[0]);

    if (!command) {
        error_printf("command \"%s\" not found\n", argv[0]);
        return false;
    }
    if (command->needs_file && !io->blk) {
        error_printf("no file open, try 'help open'\n");
        return false;
    }
    if (!check_arg_count(command, argv[0], argc - 1)) {
        return false;
    }
    if (command->is_change && !blk_is_writable(io->blk)) {
        error_report("Block node is read-only");
        return false;
    }
    io_reset_getopt();
    return command->run(io, command, argc, argv);
}

/* The words of @line: pointers into it, with a NULL behind the last one. */
static GPtrArray *split_words(char *line)
{
    GPtrArray *words = g_ptr_array_new();
    char *rest = line, *word;

    while ((word = strtok_r(rest, " \t\r\n", &rest))) {
        g_ptr_array_add(words, word);
    }
    g_ptr_array_add(words, NULL);
    return words;
}

void io_run_line(IoSession *io, const char *line)
{
    g_autofree char *copy = g_strdup(line);
    g_autoptr(GPtrArray) words = split_words(copy);

    if (words->len > 1 && !run_words(io, words->len - 1, (char **)words->pdata)) {
        io->has_failed = true;
    }
    /*
     * Both streams may end in the same file: what a command printed comes before the next one's
     * complaint.
     */
    fflush(stdout);
}

void io_reset_getopt(void)
{
    optind = 0; /* glibc: forget the last command line */
    opterr = 1; /* getopt() puts argv[0], the command, before its messages */
}
