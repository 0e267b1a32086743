/* http_date.c: see http_date.h. Days are counted in the proleptic Gregorian calendar. */
#include "lib/http_date.h"

#define DAY       86400
#define YEAR_MAX  9999
#define YEAR_SOON 50

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_days[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday"};

struct moment {
    int year, month, day, hour, minute, second; /* month 0 to 11 */
};

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int month, int year)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lengths[month] + (month == 1 && is_leap(year));
}

/* Days from 1970-01-01 to the first of January of YEAR. */
static int64_t days_before(int year)
{
    int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static bool to_seconds(const struct moment *m, int64_t *seconds)
{
    if (m->year < 1 || m->day < 1 || m->day > days_of(m->month, m->year) || m->hour > 23 || m->minute > 59 ||
        m->second > 60)
        return false;
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t day = days_before(m->year) + before[m->month] + (m->month > 1 && is_leap(m->year)) + m->day - 1;
    int second = m->second == 60 ? 59 : m->second;
    *seconds = day * DAY + m->hour * 3600 + m->minute * 60 + second;
    return true;
}

/* ---- the form that is written nowadays, at fixed places ---- */

/* The one of N words of three letters that is at P, or -1. */
static int short_word(const char *p, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (p[0] == words[i][0] && p[1] == words[i][1] && p[2] == words[i][2])
            return i;
    return -1;
}

/* Two digits; what is none is so far below 0 that a year with it is, too. */
static int two_digits(const char *p)
{
    unsigned tens = (unsigned char)p[0] - (unsigned)'0', ones = (unsigned char)p[1] - (unsigned)'0';
    return tens > 9 || ones > 9 ? -YEAR_MAX * 100 : (int)(tens * 10 + ones);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT": every stored answer has one, so it is read without a reader. */
static bool read_fixdate(struct slice text, struct moment *m)
{
    const char *p = text.p;
    if (text.len != HTTP_DATE_LEN || memcmp(p + 3, ", ", 2) != 0 || p[7] != ' ' || p[11] != ' ' ||
        p[16] != ' ' || p[19] != ':' || p[22] != ':' || memcmp(p + 25, " GMT", 4) != 0)
        return false;
    m->day = two_digits(p + 5);
    m->month = short_word(p + 8, months, 12);
    m->year = two_digits(p + 12) * 100 + two_digits(p + 14);
    m->hour = two_digits(p + 17);
    m->minute = two_digits(p + 20);
    m->second = two_digits(p + 23);
    return short_word(p, days, 7) >= 0 && m->month >= 0 && m->day >= 0 && m->year >= 0 && m->hour >= 0 &&
           m->minute >= 0 && m->second >= 0;
}

/* ---- the two older ones ---- */

/* What is left to read; a piece that does not fit ends it all. */
struct reader {
    struct slice rest;
    bool bad;
};

static void expect(struct reader *r, const char *text)
{
    struct slice s = slice_of(text);
    r->bad |= !slice_starts(r->rest, s);
    r->rest = slice_skip(r->rest, s.len);
}

static int number(struct reader *r, size_t digits)
{
    int n = 0;
    r->bad |= r->rest.len < digits;
    for (size_t i = 0; i < digits && !r->bad; i++) {
        r->bad = r->rest.p[i] < '0' || r->rest.p[i] > '9';
        n = n * 10 + (r->rest.p[i] - '0');
    }
    r->rest = slice_skip(r->rest, digits);
    return r->bad ? 0 : n;
}

/* The one of N words that is next. */
static int word(struct reader *r, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (slice_starts(r->rest, slice_of(words[i]))) {
            r->rest = slice_skip(r->rest, strlen(words[i]));
            return i;
        }
    r->bad = true;
    return 0;
}

static void clock_time(struct reader *r, struct moment *m)
{
    m->hour = number(r, 2);
    expect(r, ":");
    m->minute = number(r, 2);
    expect(r, ":");
    m->second = number(r, 2);
}

static int year_of(int64_t seconds)
{
    int year = (int)(1970 + seconds / DAY / 365);
    while (days_before(year) * DAY > seconds)
        year--;
    return year;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool read_rfc850(struct slice text, int64_t now_s, struct moment *m)
{
    struct reader r = {text, false};
    word(&r, long_days, 7);
    expect(&r, ", ");
    m->day = number(&r, 2);
    expect(&r, "-");
    m->month = word(&r, months, 12);
    expect(&r, "-");
    int now = year_of(now_s);
    m->year = now - now % 100 + number(&r, 2);
    if (m->year > now + YEAR_SOON)
        m->year -= 100;
    else if (m->year <= now + YEAR_SOON - 100)
        m->year += 100;
    expect(&r, " ");
    clock_time(&r, m);
    expect(&r, " GMT");
    return !r.bad && r.rest.len == 0;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool read_asctime(struct slice text, struct moment *m)
{
    struct reader r = {text, false};
    word(&r, days, 7);
    expect(&r, " ");
    m->month = word(&r, months, 12);
    expect(&r, " ");
    bool is_padded = r.rest.len > 0 && r.rest.p[0] == ' ';
    r.rest = slice_skip(r.rest, is_padded);
    m->day = number(&r, is_padded ? 1 : 2);
    expect(&r, " ");
    clock_time(&r, m);
    expect(&r, " ");
    m->year = number(&r, 4);
    return !r.bad && r.rest.len == 0;
}

bool http_date_parse(struct slice text, int64_t now_s, int64_t *seconds)
{
    struct moment m;
    return (read_fixdate(text, &m) || read_rfc850(text, now_s, &m) || read_asctime(text, &m)) &&
           to_seconds(&m, seconds);
}

/* ---- writing ---- */

static void put(char *at, int n, int digits)
{
    for (int i = digits; i-- > 0; n /= 10)
        at[i] = (char)('0' + n % 10);
}

void http_date_format(int64_t seconds, char *text)
{
    const int64_t first = days_before(1) * DAY, last = days_before(YEAR_MAX + 1) * DAY - 1;
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    int64_t day = seconds / DAY - (seconds % DAY < 0);
    int left = (int)(seconds - day * DAY), month = 0;
    int year = (int)(day / 366 + 1970) - (day < 0);
    while (year < YEAR_MAX && days_before(year + 1) <= day)
        year++;
    while (days_before(year) > day)
        year--;
    int of_year = (int)(day - days_before(year));
    for (; of_year >= days_of(month, year); month++)
        of_year -= days_of(month, year);
    int64_t weekday = ((day + 3) % 7 + 7) % 7; /* 1970 began on a Thursday */
    memcpy(text, "DDD, 00 MMM 0000 00:00:00 GMT", HTTP_DATE_LEN + 1);
    memcpy(text, days[weekday], 3);
    put(text + 5, of_year + 1, 2);
    memcpy(text + 8, months[month], 3);
    put(text + 12, year, 4);
    put(text + 17, left / 3600, 2);
    put(text + 20, left / 60 % 60, 2);
    put(text + 23, left % 60, 2);
}
