/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Help: for the program, and for the argument of each option that the schema describes.
 *
 * An argument's help comes from the descriptions of the schema's types alone.  Each member is a
 * line with the key as it is typed: `addr.path=<str>`; in brackets where it may be left out.  A
 * type that contains itself (a node's child is a node) is shown once.
 */
#include "qemu/osdep.h"

#include "tools/qemu-storage-daemon/daemon.h"

/* Columns: of a line, and where the text about a member begins. */
#define HELP_WIDTH  100
#define HELP_INDENT 38

void daemon_print_help(void)
{
    printf("Make block nodes and export them, until a signal (SIGTERM, SIGINT) or the command\n"
           "'quit' of a monitor ends the program\n\n"
           "Usage: qemu-storage-daemon [OPTIONS]...\n\n"
           "Carried out in the order given, each argument as key=value,... or as JSON;\n"
           "'help' as an argument, or after the first word of one, tells what it may contain:\n");
    for (const DaemonOption *option = daemon_options; option->name; option++) {
        printf("  --%s %s\n        %s\n", option->name, option->usage, option->summary);
    }
    printf("\nTaken first, wherever they stand:\n"
           "  --daemonize            go to the background once everything is made\n"
           "  --pidfile FILE         have the process' ID in FILE while the program runs\n"
           "  -T, --trace PATTERN    log trace events whose name matches\n"
           "  -h, --help             print this help\n"
           "  -V, --version          print the version\n");
}

/* Where in an argument a line of help is. */
typedef struct HelpPlace {
    const struct HelpPlace *outer;
    const QapiTypeInfo *type; /* whose members are being printed */
    const char *prefix;       /* of their keys: `addr.`, or "" */
    const char *condition;    /* NULL, or when they exist: `addr.type=unix` */
    bool is_optional;         /* what is around them may be left out */
} HelpPlace;

static void print_members(const HelpPlace *place);

static bool is_inside(const HelpPlace *place, const QapiTypeInfo *type)
{
    for (; place; place = place->outer) {
        if (place->type == type) {
            return true;
        }
    }
    return false;
}

/* The schema's text without the marks of its markup. */
static char *plain_text(const char *doc)
{
    g_auto(GStrv) parts = g_strsplit(doc, "``", -1);
    g_autofree char *joined = g_strjoinv("", parts);
    g_auto(GStrv) names = g_strsplit(joined, "@", -1);

    return g_strjoinv("", names);
}

/* Print @text from column @indent on, where the cursor is, in lines that fit on a screen. */
static void print_wrapped(const char *text, size_t indent)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t column = indent;

    for (char **word = words; *word; word++) {
        size_t length = strlen(*word);

        if (column > indent && column + 1 + length > HELP_WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        column += printf("%s%s", column > indent ? " " : "", *word);
    }
    printf("\n");
}

static void print_line(const char *usage, const char *doc, const char *condition)
{
    g_autofree char *plain = plain_text(doc);
    g_autofree char *text =
        condition ? g_strdup_printf("%s (with %s)", plain, condition) : g_strdup(plain);

    if (printf("  %-*s", HELP_INDENT - 5, usage) > HELP_INDENT - 3) {
        printf("\n%*s", HELP_INDENT - 3, "");
    }
    printf(" - ");
    print_wrapped(text, HELP_INDENT);
}

/* The values that a scalar can have, as they are typed. */
static char *value_usage(const QapiTypeInfo *type)
{
    GString *values;

    switch (type->kind) {
    case QAPI_KIND_BOOL:
        return g_strdup("on|off");
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
        return g_strdup("<int>");
    case QAPI_KIND_ENUM:
        values = g_string_new(NULL);
        for (size_t i = 0; i < type->nr_values; i++) {
            g_string_append_printf(values, "%s%s", i ? "|" : "", type->values[i].name);
        }
        return g_string_free(values, false);
    default:
        return g_strdup_printf("<%s>", type->name);
    }
}

static void print_scalar(const HelpPlace *place, const char *key, const QapiTypeInfo *type,
                         const char *doc)
{
    g_autofree char *values = value_usage(type);
    g_autofree char *usage =
        g_strdup_printf(place->is_optional ? "[%s%s=%s]" : "%s%s=%s", place->prefix, key, values);

    print_line(usage, doc, place->condition);
}

/* A value of any type at @key of @place. */
static void print_value(const HelpPlace *place, const char *key, const QapiTypeInfo *type,
                        const char *doc)
{
    g_autofree char *prefix = g_strdup_printf("%s%s.", place->prefix, key);
    g_autofree char *first_element = g_strdup_printf("%s.0", key);
    HelpPlace inner = *place;

    switch (type->kind) {
    case QAPI_KIND_OBJECT:
        if (is_inside(place, type)) {
            g_autofree char *usage =
                g_strdup_printf(place->is_optional ? "[%sKEY=VALUE]" : "%sKEY=VALUE", prefix);

            print_line(usage, doc, place->condition);
            return;
        }
        inner.outer = place;
        inner.type = type;
        inner.prefix = prefix;
        print_members(&inner);
        return;
    case QAPI_KIND_ALTERNATE:
        for (size_t i = 0; i < type->nr_members; i++) {
            print_value(place, key, type->members[i].info, type->members[i].doc);
        }
        return;
    case QAPI_KIND_LIST:
        print_value(place, first_element, type->element, doc);
        return;
    case QAPI_KIND_NULL: /* only JSON has it */
        return;
    default:
        print_scalar(place, key, type, doc);
    }
}

/* What each value of a union's tag adds. */
static void print_branches(const HelpPlace *place)
{
    const QapiTypeInfo *type = place->type;

    for (size_t i = 0; i < type->nr_branches; i++) {
        g_autofree char *condition = g_strdup_printf("%s%s=%s", place->prefix, type->tag_name,
                                                     qapi_enum_str(type->tag_info, i));
        HelpPlace inner = *place;

        if (type->branches[i]) {
            inner.outer = place;
            inner.type = type->branches[i];
            inner.condition = condition;
            print_members(&inner);
        }
    }
}

/* Without the tag of an option's own type, which has been dealt with. */
static void print_own_members(const HelpPlace *place)
{
    const QapiTypeInfo *type = place->type;
    const char *tag_name = place->outer ? NULL : type->tag_name;

    for (size_t i = 0; i < type->nr_members; i++) {
        const QapiMember *member = &type->members[i];
        HelpPlace at = *place;

        at.is_optional |= member->optional;
        if (g_strcmp0(member->name, tag_name) != 0) {
            print_value(&at, member->name, member->info, member->doc);
        }
    }
}

static void print_members(const HelpPlace *place)
{
    print_own_members(place);
    print_branches(place);
}

static void print_choices(const DaemonOption *option)
{
    const QapiTypeInfo *tag = option->type->tag_info;

    printf("The further ones depend on %s; '--%s %s=NAME,help' tells those of\n",
           option->type->tag_name, option->name, option->type->tag_name);
    for (size_t i = 0; i < tag->nr_values; i++) {
        print_line(tag->values[i].name, tag->values[i].doc, NULL);
    }
}

/* What the argument of @option may contain, whatever its tag; @place is the argument. */
static void print_common(const DaemonOption *option, const HelpPlace *place)
{
    const QapiTypeInfo *type = option->type;

    printf("Options of --%s:\n", option->name);
    if (type->tag_name) {
        g_autofree char *usage = g_strdup_printf("%s=NAME", type->tag_name);

        print_line(usage, qapi_find_member(type, type->tag_name)->doc, NULL);
    }
    print_own_members(place);
    if (type->tag_name) {
        print_choices(option);
    }
}

/* The same with @tag chosen. */
static void print_chosen(const DaemonOption *option, const HelpPlace *place, int tag)
{
    const QapiTypeInfo *type = option->type;
    HelpPlace branch = {.outer = place, .type = type->branches[tag], .prefix = ""};

    printf("Options of --%s %s=%s:\n", option->name, type->tag_name,
           qapi_enum_str(type->tag_info, tag));
    print_own_members(place);
    if (branch.type) {
        print_members(&branch);
    }
}

bool daemon_print_option_help(const DaemonOption *option, const json_t *tree, Error **errp)
{
    const QapiTypeInfo *type = option->type;
    const HelpPlace place = {.type = type, .prefix = ""};
    const json_t *chosen = type->tag_name ? json_object_get(tree, type->tag_name) : NULL;
    int tag;

    if (!chosen) {
        print_common(option, &place);
        return true;
    }
    if (!json_is_string(chosen)) {
        error_setg(errp, "Invalid parameter type for '%s', expected: string", type->tag_name);
        return false;
    }
    tag = qapi_enum_parse(type->tag_info, type->tag_name, json_string_value(chosen), errp);
    if (tag < 0) {
        return false;
    }
    print_chosen(option, &place, tag);
    return true;
}
