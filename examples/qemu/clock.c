/* SPDX-License-Identifier: ISC */
/* The battery-backed clock of a PC, which counts in BCD and in UTC. */
#include "examples/qemu/machine.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71 };
enum { RTC_FIELDS = 6 };

static uint32_t rtc_field(uint8_t reg)
{
    port_write(CMOS_INDEX, reg);
    const uint32_t bcd = port_read(CMOS_DATA);
    return bcd / 16 * 10 + bcd % 16;
}

/* Second, minute, hour, day, month, year of the century. */
static void rtc_read(uint32_t fields[RTC_FIELDS])
{
    static const uint8_t regs[RTC_FIELDS] = {0, 2, 4, 7, 8, 9};

    for (int i = 0; i < RTC_FIELDS; i++) {
        fields[i] = rtc_field(regs[i]);
    }
}

/* Days from 1970-01-01 to a day of this century. */
static int64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint16_t before[12] = {0,   31,  59,  90,  120, 151,
                                        181, 212, 243, 273, 304, 334};
    const uint32_t leap_days = (year + 3) / 4 + (year % 4 == 0 && month > 2);

    return 10957 + (int64_t)(year * 365 + leap_days + before[month - 1] + day) -
           1;
}

struct nf_time clock_now(void *unused)
{
    uint32_t now[RTC_FIELDS];
    uint32_t again[RTC_FIELDS];
    bool same;

    (void)unused;
    rtc_read(again);
    do { /* a reading that the clock did not tick in */
        same = true;
        for (int i = 0; i < RTC_FIELDS; i++) {
            now[i] = again[i];
        }
        rtc_read(again);
        for (int i = 0; i < RTC_FIELDS; i++) {
            same = same && now[i] == again[i];
        }
    } while (!same);
    if (now[4] < 1 || now[4] > 12) {
        return (struct nf_time){0};
    }
    return (struct nf_time){
        .sec = days_since_1970(now[5], now[4], now[3]) * 86400 + now[2] * 3600 +
               now[1] * 60 + now[0],
    };
}
