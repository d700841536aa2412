/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers, sizes and switches between text and C: see qemu/cutils.h.
 *
 * Parsing uses integers only: a double has 53 bits, and a size of 2^60 must come out to the byte.
 * Nothing here depends on the locale.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"

/*
 * The tail common to all parsers of numbers: @rest is what follows the number at @nptr, @ret what
 * reading it gave.
 */
static int finish_number(const char *nptr, const char *rest, const char **end, int ret)
{
    if (ret == -EINVAL) {
        rest = nptr;
    } else if (!end && *rest) {
        ret = -EINVAL;
    }
    if (end) {
        *end = rest;
    }
    return ret;
}

/* The number at @digits, which may have no sign; *@rest is left behind its last digit. */
static int read_magnitude(const char *digits, const char **rest, int base, uint64_t *magnitude)
{
    char *behind;

    /* strtoull() would skip blanks here and take a sign. */
    if (!g_ascii_isalnum(*digits)) {
        return -EINVAL;
    }
    errno = 0;
    *magnitude = strtoull(digits, &behind, base);
    *rest = behind;
    if (behind == digits) {
        return -EINVAL;
    }
    return errno == ERANGE ? -ERANGE : 0;
}

static int parse_unsigned(const char *nptr, const char **end, int base, uint64_t max,
                          uint64_t *result)
{
    const char *rest = nptr;
    uint64_t value = 0;
    int ret = read_magnitude(nptr, &rest, base, &value);

    if (ret == 0 && value > max) {
        ret = -ERANGE;
    }
    ret = finish_number(nptr, rest, end, ret);
    if (ret == 0) {
        *result = value;
    }
    return ret;
}

/* The range is -@max - 1 to @max. */
static int parse_signed(const char *nptr, const char **end, int base, int64_t max, int64_t *result)
{
    bool is_negative = *nptr == '-';
    const char *rest = nptr;
    uint64_t magnitude = 0;
    int ret = read_magnitude(nptr + is_negative, &rest, base, &magnitude);

    if (ret == 0 && magnitude > (uint64_t)max + is_negative) {
        ret = -ERANGE;
    }
    ret = finish_number(nptr, rest, end, ret);
    if (ret == 0) {
        /* Negated as unsigned: the smallest number has no positive twin. */
        *result = is_negative ? (int64_t)-magnitude : (int64_t)magnitude;
    }
    return ret;
}

int qemu_strtoi(const char *nptr, const char **end, int base, int *result)
{
    int64_t value;
    int ret = parse_signed(nptr, end, base, INT_MAX, &value);

    if (ret == 0) {
        *result = value;
    }
    return ret;
}

int qemu_strtoui(const char *nptr, const char **end, int base, unsigned int *result)
{
    uint64_t value;
    int ret = parse_unsigned(nptr, end, base, UINT_MAX, &value);

    if (ret == 0) {
        *result = value;
    }
    return ret;
}

int qemu_strtoi64(const char *nptr, const char **end, int base, int64_t *result)
{
    return parse_signed(nptr, end, base, INT64_MAX, result);
}

int qemu_strtou64(const char *nptr, const char **end, int base, uint64_t *result)
{
    return parse_unsigned(nptr, end, base, UINT64_MAX, result);
}

/* The power of two that the size suffix @letter stands for, or -1. */
static int suffix_shift(char letter)
{
    static const char letters[] = "BKMGTPE";
    const char *found = letter ? strchr(letters, g_ascii_toupper(letter)) : NULL;

    return found ? (found - letters) * 10 : -1;
}

/*
 * 2^@shift times the fraction 0.DIGITS, rounded down, exact for any number of digits: worked from
 * the last digit to the first, as ((d3 * unit) / 10 + d2 * unit) / 10 ...; rounding down at each
 * step loses nothing because d * unit is whole.  10 * 2^60 fits.
 */
static uint64_t scale_fraction(const char *digits, size_t nr_digits, int shift)
{
    uint64_t scaled = 0;

    for (size_t i = nr_digits; i > 0; i--) {
        scaled = (scaled + ((uint64_t)(digits[i - 1] - '0') << shift)) / 10;
    }
    return scaled;
}

static int read_decimal_size(const char *text, const char **rest, uint64_t *size)
{
    size_t nr_whole = strspn(text, "0123456789");
    bool has_point = text[nr_whole] == '.';
    const char *fraction = text + nr_whole + has_point;
    size_t nr_fraction = has_point ? strspn(fraction, "0123456789") : 0;
    int shift = suffix_shift(fraction[nr_fraction]);
    uint64_t whole = 0;
    int ret = 0;

    *rest = fraction + nr_fraction + (shift >= 0);
    if (nr_whole + nr_fraction == 0 || (has_point && shift <= 0)) {
        return -EINVAL;
    }
    if (nr_whole > 0) {
        const char *behind;

        ret = read_magnitude(text, &behind, 10, &whole);
    }
    shift = MAX(shift, 0);
    if (ret == 0 && whole > UINT64_MAX >> shift) {
        ret = -ERANGE;
    }
    /* Below one unit, so that the low bits of the whole are free for it. */
    *size = whole << shift | scale_fraction(fraction, nr_fraction, shift);
    return ret;
}

int qemu_strtosz(const char *nptr, const char **end, uint64_t *result)
{
    bool is_hex = nptr[0] == '0' && g_ascii_tolower(nptr[1]) == 'x' && g_ascii_isxdigit(nptr[2]);
    const char *rest = nptr;
    uint64_t size = 0;
    int ret;

    if (is_hex) {
        ret = read_magnitude(nptr, &rest, 16, &size);
    } else {
        ret = read_decimal_size(nptr, &rest, &size);
    }
    if (ret != -EINVAL && (g_ascii_isalnum(*rest) || *rest == '.')) {
        ret = -EINVAL;
    }
    ret = finish_number(nptr, rest, end, ret);
    if (ret == 0) {
        *result = size;
    }
    return ret;
}

int64_t parse_size_arg(const char *what, const char *text, int64_t min, int64_t max, Error **errp)
{
    uint64_t size;
    int ret = qemu_strtosz(text, NULL, &size);

    assert(min >= 0 && min <= max);
    if (ret == -EINVAL) {
        error_setg(errp, "Invalid %s specified: '%s'", what, text);
        return ret;
    }
    if (ret < 0 || size < (uint64_t)min || size > (uint64_t)max) {
        error_setg(errp, "Invalid %s specified. Must be between %" PRId64 " and %" PRId64 ".", what,
                   min, max);
        return -ERANGE;
    }
    return size;
}

bool parse_bool(const char *text, bool *result)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"no", "yes"}, {"false", "true"}, {"n", "y"}};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        bool is_on = g_str_equal(text, words[i][true]);

        if (is_on || g_str_equal(text, words[i][false])) {
            *result = is_on;
            return true;
        }
    }
    return false;
}

bool parse_bool_arg(const char *name, const char *text, bool *result, Error **errp)
{
    if (!parse_bool(text, result)) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off', got '%s'", name, text);
        return false;
    }
    return true;
}

/* "" KiB, MiB ...: the letter before `iB`, by how often a size was divided by 1024. */
static const char unit_letters[] = "\0KMGTPE";
#define MAX_UNIT (sizeof(unit_letters) - 2)

char *size_to_str(uint64_t bytes)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    double value = bytes;
    size_t unit = 0;

    /* Bytes are whole; of the other units 999.5 already rounds to four digits. */
    while (value >= (unit ? 999.5 : 1000) && unit < MAX_UNIT) {
        value /= 1024;
        unit++;
    }
    g_ascii_formatd(digits, sizeof(digits), "%.3g", value);
    if (unit == 0) {
        return g_strdup_printf("%s B", digits);
    }
    return g_strdup_printf("%s %ciB", digits, unit_letters[unit]);
}

char *size_to_str_fixed(double bytes)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    double value = bytes;
    size_t unit = 0;

    while (value >= 1024 && unit < MAX_UNIT) {
        value /= 1024;
        unit++;
    }
    g_ascii_formatd(digits, sizeof(digits), "%.3f", value);
    if (g_str_has_suffix(digits, ".000")) {
        digits[strlen(digits) - strlen(".000")] = '\0';
    }
    if (unit == 0) {
        return g_strdup_printf("%s bytes", digits);
    }
    return g_strdup_printf("%s %ciB", digits, unit_letters[unit]);
}
