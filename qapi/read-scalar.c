/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scalars of the schema from JSON values and from the strings of `key=value` options.
 *
 * Whatever is stored fits its C type: ranges are checked for every width, strings have no embedded
 * NUL.
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "visit-internal.h"

void qapi_error_type(Error **errp, const char *path, const char *expected)
{
    if (*path) {
        error_setg(errp, "Invalid parameter type for '%s', expected: %s", path, expected);
    } else {
        error_setg(errp, "Invalid parameter type, expected: %s", expected);
    }
}

static int64_t int_min(const QapiTypeInfo *type)
{
    return type->kind == QAPI_KIND_INT ? INT64_MIN >> (64 - type->size * 8) : 0;
}

static uint64_t int_max(const QapiTypeInfo *type)
{
    int bits = type->size * 8;

    return type->kind == QAPI_KIND_INT ? INT64_MAX >> (64 - bits) : UINT64_MAX >> (64 - bits);
}

static bool is_in_range(const QapiTypeInfo *type, int64_t value)
{
    return value >= int_min(type) && (value < 0 || (uint64_t)value <= int_max(type));
}

static bool report_range(const QapiTypeInfo *type, const char *path, const char *text, Error **errp)
{
    error_setg(errp, "Parameter '%s' must be between %" PRId64 " and %" PRIu64 ", got %s", path,
               int_min(type), int_max(type), text);
    return false;
}

static bool read_json_int(json_t *json, const char *path, const QapiTypeInfo *type, void *slot,
                          Error **errp)
{
    int64_t value = json_integer_value(json);

    if (!json_is_integer(json)) {
        qapi_error_type(errp, path, "integer");
        return false;
    }
    if (!is_in_range(type, value)) {
        g_autofree char *text = g_strdup_printf("%" PRId64, value);

        return report_range(type, path, text, errp);
    }
    qapi_store_int(type, slot, value);
    return true;
}

static bool read_json_str(json_t *json, const char *path, char **slot, Error **errp)
{
    if (!json_is_string(json)) {
        qapi_error_type(errp, path, "string");
        return false;
    }
    if (strlen(json_string_value(json)) != json_string_length(json)) {
        error_setg(errp, "Parameter '%s' contains a NUL character", path);
        return false;
    }
    *slot = g_strdup(json_string_value(json));
    return true;
}

static bool read_enum(const char *text, const char *path, const QapiTypeInfo *type, void *slot,
                      Error **errp)
{
    int value = qapi_enum_parse(type, path, text, errp);

    if (value < 0) {
        return false;
    }
    qapi_store_int(type, slot, value);
    return true;
}

bool json_read_scalar(json_t *json, const char *path, const QapiTypeInfo *type, void *slot,
                      Error **errp)
{
    const char *expected = NULL;

    switch (type->kind) {
    case QAPI_KIND_STR:
        return read_json_str(json, path, slot, errp);
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return read_json_int(json, path, type, slot, errp);
    case QAPI_KIND_BOOL:
        *(bool *)slot = json_is_true(json);
        expected = json_is_boolean(json) ? NULL : "boolean";
        break;
    case QAPI_KIND_NUMBER:
        *(double *)slot = json_number_value(json);
        expected = json_is_number(json) ? NULL : "number";
        break;
    case QAPI_KIND_NULL:
        *(json_t **)slot = json_is_null(json) ? json_null() : NULL;
        expected = json_is_null(json) ? NULL : "null";
        break;
    case QAPI_KIND_ANY:
        *(json_t **)slot = json_incref(json);
        break;
    case QAPI_KIND_ENUM:
        if (json_is_string(json)) {
            return read_enum(json_string_value(json), path, type, slot, errp);
        }
        expected = "string";
        break;
    default:
        g_assert_not_reached();
    }
    if (expected) {
        qapi_error_type(errp, path, expected);
    }
    return !expected;
}

static bool read_int_text(const char *text, const char *path, const QapiTypeInfo *type, void *slot,
                          Error **errp)
{
    int64_t value = 0;
    uint64_t magnitude = 0;
    bool is_signed = type->kind == QAPI_KIND_INT || *text == '-';
    int ret =
        is_signed ? qemu_strtoi64(text, NULL, 0, &value) : qemu_strtou64(text, NULL, 0, &magnitude);

    if (ret == -EINVAL) {
        error_setg(errp, "Parameter '%s' expects an integer, got '%s'", path, text);
        return false;
    }
    if (ret < 0 || !(is_signed ? is_in_range(type, value) : magnitude <= int_max(type))) {
        return report_range(type, path, text, errp);
    }
    qapi_store_int(type, slot, is_signed ? value : (int64_t)magnitude);
    return true;
}

static bool read_size_text(const char *text, const char *path, uint64_t *slot, Error **errp)
{
    int ret = qemu_strtosz(text, NULL, slot);

    if (ret == -ERANGE) {
        error_setg(errp, "Parameter '%s' is too large: '%s'", path, text);
    } else if (ret < 0) {
        error_setg(errp,
                   "Parameter '%s' expects a size in bytes, optionally with one of the suffixes "
                   "K, M, G, T, P and E, got '%s'",
                   path, text);
    }
    return ret == 0;
}

static bool read_number_text(const char *text, const char *path, double *slot, Error **errp)
{
    char *end;

    *slot = g_ascii_strtod(text, &end);
    if (end == text || *end || g_ascii_isspace(*text) || !isfinite(*slot)) {
        error_setg(errp, "Parameter '%s' expects a number, got '%s'", path, text);
        return false;
    }
    return true;
}

bool keyval_read_scalar(const char *text, const char *path, const QapiTypeInfo *type, void *slot,
                        Error **errp)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        *(char **)slot = g_strdup(text);
        return true;
    case QAPI_KIND_BOOL:
        return parse_bool_arg(path, text, slot, errp);
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
        return read_int_text(text, path, type, slot, errp);
    case QAPI_KIND_SIZE:
        return read_size_text(text, path, slot, errp);
    case QAPI_KIND_NUMBER:
        return read_number_text(text, path, slot, errp);
    case QAPI_KIND_ENUM:
        return read_enum(text, path, type, slot, errp);
    case QAPI_KIND_NULL:
        qapi_error_type(errp, path, "null");
        return false;
    case QAPI_KIND_ANY:
        *(json_t **)slot = json_string(text);
        return true;
    default:
        g_assert_not_reached();
    }
}
