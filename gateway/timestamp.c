/*
 * timestamp.c: see timestamp.h.
 *
 * gmtime_r is not used because it takes a lock that all threads share. Years are counted from March here, so
 * that the day that comes and goes is the last one of a year, and from there month and day follow from the
 * day's number alone.
 */
#include "gateway/timestamp.h"

#include <string.h>

#define DAY_SECONDS 86400
#define ERA_DAYS    146097                /* of 400 years, after which the calendar repeats */
#define EPOCH_DAYS  719468                /* from 0000-03-01 to 1970-01-01 */
#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59 */

struct date {
    unsigned year, month, day; /* month 1..12, day 1..31 */
};

static struct date date_of(unsigned days_since_1970)
{
    unsigned days = days_since_1970 + EPOCH_DAYS;
    unsigned era = days / ERA_DAYS, rest = days % ERA_DAYS;
    /* Take the leap days out (one in 1461 days, none in 36524, one in 146097) and every year has 365. */
    unsigned year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    rest -= year * 365 + year / 4 - year / 100;
    /* From March on, five months have 153 days. */
    unsigned month = (rest * 5 + 2) / 153;
    unsigned day = rest - (month * 153 + 2) / 5 + 1;
    bool is_next_year = month >= 10;
    return (struct date){era * 400 + year + is_next_year, is_next_year ? month - 9 : month + 3, day};
}

static void put2(char *p, unsigned n)
{
    p[0] = (char)('0' + n / 10 % 10);
    p[1] = (char)('0' + n % 10);
}

static void put4(char *p, unsigned n)
{
    put2(p, n / 100);
    put2(p + 2, n % 100);
}

static void put_time(char *p, unsigned second_of_day)
{
    put2(p, second_of_day / 3600);
    put2(p + 3, second_of_day / 60 % 60);
    put2(p + 6, second_of_day % 60);
}

void timestamp_set(struct timestamp *t, int64_t second)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t s = second < 0 ? 0 : second > LAST_SECOND ? LAST_SECOND : second;
    struct date d = date_of((unsigned)(s / DAY_SECONDS));
    unsigned second_of_day = (unsigned)(s % DAY_SECONDS);

    memcpy(t->rfc3339, "0000-00-00T00:00:00", TIMESTAMP_RFC3339);
    put4(t->rfc3339, d.year);
    put2(t->rfc3339 + 5, d.month);
    put2(t->rfc3339 + 8, d.day);
    put_time(t->rfc3339 + 11, second_of_day);

    memcpy(t->clf, "00/Mon/0000:00:00:00 +0000", TIMESTAMP_CLF);
    put2(t->clf, d.day);
    memcpy(t->clf + 3, months + 3 * (d.month - 1), 3);
    put4(t->clf + 7, d.year);
    put_time(t->clf + 12, second_of_day);

    t->second = second;
    t->is_set = true;
}
