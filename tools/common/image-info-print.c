/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The human form of image information, see image-info-print.h.
 *
 * The order and the spelling of the lines are those that scripts look for
 * (docs/tools/qemu-img.rst); what one format alone has is printed from its JSON form, so that a new
 * member needs no code here.
 */
#include "qemu/osdep.h"

#include <jansson.h>

#include "qapi/qapi-visit.h"
#include "qemu/cutils.h"
#include "tools/common/image-info-print.h"

#define INDENT_WIDTH 4

/* ---- a tree, one member a line ---- */

/* Members that are sizes of what a user sees, and so are shown in units too. */
static bool is_size_member(const char *parent, const char *key)
{
    static const char *const zoned_sizes[] = {"size", "capacity", "max-append-bytes"};

    for (size_t i = 0; strcmp(parent, "zoned") == 0 && i < ARRAY_SIZE(zoned_sizes); i++) {
        if (strcmp(zoned_sizes[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void print_members(const char *parent, const json_t *object, int indent);

static void print_value(const char *parent, const char *key, const json_t *value, int indent)
{
    g_autofree char *units = NULL;
    const json_t *element;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        printf("\n");
        print_members(key, value, indent + INDENT_WIDTH);
        return;
    case JSON_ARRAY:
        printf("\n");
        json_array_foreach(value, i, element)
        {
            printf("%*s[%zu]:", indent + INDENT_WIDTH, "", i);
            print_value(key, "", element, indent + INDENT_WIDTH);
        }
        return;
    case JSON_INTEGER:
        units = is_size_member(parent, key) ? size_to_str(json_integer_value(value)) : NULL;
        if (units) {
            printf(" %s (%" JSON_INTEGER_FORMAT " bytes)\n", units, json_integer_value(value));
        } else {
            printf(" %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
        }
        return;
    case JSON_REAL:
        printf(" %.17g\n", json_real_value(value));
        return;
    case JSON_STRING:
        printf(" %s\n", json_string_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        printf(" %s\n", json_is_true(value) ? "true" : "false");
        return;
    case JSON_NULL:
        printf(" null\n");
        return;
    }
}

static void print_member(const char *parent, const char *key, const json_t *value, int indent)
{
    g_autofree char *label = g_strdelimit(g_strdup(key), "-", ' ');

    printf("%*s%s:", indent, "", label);
    print_value(parent, key, value, indent);
}

/*
 * What has been printed so for decades stands in this order; everything else follows in the order
 * of the schema.
 */
static const char *const usual_order[] = {
    "compat",    "compression-type", "lazy-refcounts", "bitmaps", "refcount-bits",
    "data-file", "data-file-raw",    "encrypt",        "corrupt", "extended-l2",
};

static bool has_usual_place(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(usual_order); i++) {
        if (strcmp(usual_order[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void print_members(const char *parent, const json_t *object, int indent)
{
    const char *key;
    json_t *value;

    for (size_t i = 0; i < ARRAY_SIZE(usual_order); i++) {
        value = json_object_get(object, usual_order[i]);
        if (value) {
            print_member(parent, usual_order[i], value, indent);
        }
    }
    json_object_foreach((json_t *)object, key, value)
    {
        if (!has_usual_place(key)) {
            print_member(parent, key, value, indent);
        }
    }
}

void image_specific_info_print(const ImageInfoSpecific *info, int indent)
{
    json_t *tree = qapi_ImageInfoSpecific_to_json(info);
    const json_t *data = json_object_get(tree, "data");

    if (json_object_size(data) > 0) {
        printf("%*sFormat specific information:\n", indent, "");
        print_members("", data, indent + INDENT_WIDTH);
    }
    json_decref(tree);
}

/* ---- a whole image ---- */

static void print_size(const char *label, uint64_t bytes, int indent)
{
    g_autofree char *units = size_to_str(bytes);

    printf("%*s%s: %s (%" PRIu64 " bytes)\n", indent, "", label, units, bytes);
}

static void print_disk_size(bool is_known, uint64_t bytes, int indent)
{
    g_autofree char *units = is_known ? size_to_str(bytes) : g_strdup("unavailable");

    printf("%*sdisk size: %s\n", indent, "", units);
}

static void print_backing(const BlockNodeInfo *info)
{
    if (!info->backing_filename) {
        return;
    }
    printf("backing file: %s", info->backing_filename);
    if (info->full_backing_filename &&
        strcmp(info->full_backing_filename, info->backing_filename) != 0) {
        printf(" (actual path: %s)", info->full_backing_filename);
    }
    printf("\n");
    if (info->backing_filename_format) {
        printf("backing file format: %s\n", info->backing_filename_format);
    }
}

static void print_limits(const BlockLimitsInfo *limits, int indent)
{
    json_t *tree;

    if (!limits) {
        return;
    }
    tree = qapi_BlockLimitsInfo_to_json(limits);
    printf("%*sBlock limits:\n", indent, "");
    print_members("", tree, indent + INDENT_WIDTH);
    json_decref(tree);
}

/*
 * A child that is a protocol (`file`, `host_device`) has a length; another format would have a
 * size.
 */
static void print_child(const BlockGraphInfo *child, const char *path)
{
    printf("Child node '%s':\n", path);
    printf("%*sfilename: %s\n", INDENT_WIDTH, "", child->filename);
    printf("%*sprotocol type: %s\n", INDENT_WIDTH, "", child->format);
    print_size("file length", child->virtual_size, INDENT_WIDTH);
    print_disk_size(child->has_actual_size, child->actual_size, INDENT_WIDTH);
    print_limits(child->limits, INDENT_WIDTH);
    if (child->format_specific) {
        image_specific_info_print(child->format_specific, INDENT_WIDTH);
    }
}

static void print_children(const BlockChildInfoList *children, const char *parent_path)
{
    for (const BlockChildInfoList *item = children; item; item = item->next) {
        g_autofree char *path = g_strdup_printf("%s/%s", parent_path, item->value->name);

        print_child(item->value->info, path);
        print_children(item->value->info->children, path);
    }
}

/* ImageInfo begins with the members of its base. */
G_STATIC_ASSERT(offsetof(ImageInfo, limits) == offsetof(BlockNodeInfo, limits));

void image_info_print(const ImageInfo *info)
{
    printf("image: %s\nfile format: %s\n", info->filename, info->format);
    print_size("virtual size", info->virtual_size, 0);
    print_disk_size(info->has_actual_size, info->actual_size, 0);
    if (info->has_encrypted && info->encrypted) {
        printf("encrypted: yes\n");
    }
    if (info->has_cluster_size) {
        printf("cluster_size: %" PRIu64 "\n", info->cluster_size);
    }
    if (info->has_dirty_flag && info->dirty_flag) {
        printf("cleanly shut down: no\n");
    }
    print_backing((const BlockNodeInfo *)info);
    print_limits(info->limits, 0);
    if (info->format_specific) {
        image_specific_info_print(info->format_specific, 0);
    }
    print_children(info->children, "");
}
