/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of `-o`: how they relate to the members of the schema, and the help text about them.
 *
 * A word is listed where `Formatting` prints it.  Types, checks and texts are the schema's; a table
 * holds nothing but spellings.
 */
#include "qemu/osdep.h"

#include "block/block-create.h"

static const char *map_compat(const char *value)
{
    if (!strcmp(value, "0.10")) {
        return "v2";
    }
    return strcmp(value, "1.1") ? value : "v3";
}

static const BdrvCreateWord raw_words[] = {
    {.word = "size", .member = "size", .type_name = "size"},
    {.word = "nocow", .member = "nocow", .type_name = "bool", .is_of_file = true},
    {.word = "preallocation", .member = "preallocation", .type_name = "str"},
    {.word = "extent_size_hint", .member = "extent-size-hint", .type_name = "size",
     .is_of_file = true},
    {.word = NULL},
};

static const BdrvCreateWord qcow2_words[] = {
    {.word = "cluster_size", .member = "cluster-size", .type_name = "size",
     .fixed_default = "65536"},
    {.word = "extended_l2", .member = "extended-l2", .type_name = "bool", .fixed_default = "off"},
    {.word = "preallocation", .member = "preallocation", .type_name = "str"},
    {.word = "compression_type", .member = "compression-type", .type_name = "str",
     .fixed_default = "zlib"},
    {.word = "zone.mode", .member = "zone.mode", .type_name = "str"},
    {.word = "zone_model", .member = "zone.mode", .type_name = "str", .is_alias = true},
    {.word = "zone.size", .member = "zone.size", .type_name = "size"},
    {.word = "zone_size", .member = "zone.size", .type_name = "size", .is_alias = true},
    {.word = "zone.capacity", .member = "zone.capacity", .type_name = "size"},
    {.word = "zone_capacity", .member = "zone.capacity", .type_name = "size", .is_alias = true},
    {.word = "zone.conventional_zones", .member = "zone.conventional-zones", .type_name = "num"},
    {.word = "conventional_zones", .member = "zone.conventional-zones", .type_name = "num",
     .is_alias = true},
    {.word = "zone.max_append_bytes", .member = "zone.max-append-bytes", .type_name = "size"},
    {.word = "max_append_bytes", .member = "zone.max-append-bytes", .type_name = "size",
     .is_alias = true},
    {.word = "zone.max_active_zones", .member = "zone.max-active-zones", .type_name = "num"},
    {.word = "max_active_zones", .member = "zone.max-active-zones", .type_name = "num",
     .is_alias = true},
    {.word = "zone.max_open_zones", .member = "zone.max-open-zones", .type_name = "num"},
    {.word = "max_open_zones", .member = "zone.max-open-zones", .type_name = "num",
     .is_alias = true},
    {.word = "size", .member = "size", .type_name = "size"},
    {.word = "compat", .member = "version", .type_name = "str", .map_value = map_compat},
    {.word = "backing_file", .member = "backing-file", .type_name = "str"},
    {.word = "backing_fmt", .member = "backing-fmt", .type_name = "str"},
    {.word = "data_file", .member = "data-file", .type_name = "str"},
    {.word = "data_file_raw", .member = "data-file-raw", .type_name = "bool"},
    {.word = "lazy_refcounts", .member = "lazy-refcounts", .type_name = "bool",
     .fixed_default = "off"},
    {.word = "refcount_bits", .member = "refcount-bits", .type_name = "num",
     .fixed_default = "16"},
    {.word = "nocow", .member = "nocow", .type_name = "bool", .is_of_file = true},
    {.word = "extent_size_hint", .member = "extent-size-hint", .type_name = "size",
     .is_of_file = true},
    {.word = NULL},
};

const BdrvCreateWord *bdrv_create_words(const char *format)
{
    if (!strcmp(format, "raw")) {
        return raw_words;
    }
    return !strcmp(format, "qcow2") ? qcow2_words : NULL;
}

/* The schema's text about the member at the dotted @path of @type. */
static const char *find_doc(const QapiTypeInfo *type, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    const QapiMember *member = NULL;

    for (char **part = parts; *part; part++) {
        member = qapi_find_member(type, *part);
        assert(member);
        type = member->info;
    }
    return member->doc;
}

static gint compare_words(gconstpointer a, gconstpointer b)
{
    const BdrvCreateWord *const *x = a;
    const BdrvCreateWord *const *y = b;

    return strcmp((*x)->word, (*y)->word);
}

static void print_word(const BdrvCreateWord *word, const char *format)
{
    const QapiTypeInfo *options = &qapi_info_BlockdevCreateOptions;
    const char *branch = word->is_of_file ? "file" : format;
    const QapiTypeInfo *type =
        options->branches[qapi_enum_lookup(options->tag_info, branch)];
    const char *type_name = strcmp(word->type_name, "bool") ? word->type_name : "bool (on/off)";
    g_autofree char *usage = g_strdup_printf("%s=<%s>", word->word, type_name);

    printf("  %-22s - %s\n", usage, find_doc(type, word->member));
}

bool bdrv_print_create_help(const char *format, Error **errp)
{
    const BdrvCreateWord *words = bdrv_create_words(format);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    if (!words) {
        error_setg(errp, bdrv_find_format(format)
                             ? "Format driver '%s' does not support image creation"
                             : "Unknown file format '%s'", format);
        return false;
    }
    for (; words->word; words++) {
        if (!words->is_alias) {
            g_ptr_array_add(sorted, (gpointer)words);
        }
    }
    g_ptr_array_sort(sorted, compare_words);
    printf("Supported %s options:\n", format);
    for (guint i = 0; i < sorted->len; i++) {
        print_word(sorted->pdata[i], format);
    }
    return true;
}
