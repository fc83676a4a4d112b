//! The clock, and what drives it.

use yagura_model::{Metric, Timestamp};

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const TIME: Metric = gauge("node_time_seconds", "s", "The machine's clock at the time of the scrape, as Unix time.");
const ZONE: Metric = gauge("node_time_zone_offset_seconds", "s", "How far local time is ahead of UTC.");
const AVAILABLE: Metric =
    gauge("node_time_clocksource_available_info", "", "What the clock could be driven by, in its labels; always 1.");
const CURRENT: Metric =
    gauge("node_time_clocksource_current_info", "", "What the clock is driven by, in its labels; always 1.");

pub(super) const METRICS: &[Metric] = &[TIME, ZONE, AVAILABLE, CURRENT];

const CLOCKS: &str = "devices/system/clocksource";

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let now = sampler.now();
    sampler.put(&TIME, &[], now.seconds());
    put_zone(now, sampler);
    let Ok(names) = host.sys_names(CLOCKS) else { return Ok(()) };
    for device in names.iter().filter_map(|name| name.strip_prefix("clocksource")) {
        for (file, metric) in [("available_clocksource", &AVAILABLE), ("current_clocksource", &CURRENT)] {
            let Ok(text) = host.sys(&format!("{CLOCKS}/clocksource{device}/{file}")) else { continue };
            for source in text.split_ascii_whitespace() {
                sampler.put(metric, &[("clocksource", source), ("device", device)], 1_i64);
            }
        }
    }
    host.put_back(names);
    Ok(())
}

fn put_zone(now: Timestamp, sampler: &mut Sampler<'_>) {
    let Ok(instant) = jiff::Timestamp::from_millisecond(now.0) else { return };
    let zone = jiff::tz::TimeZone::system();
    let info = zone.to_offset_info(instant);
    let offset = i64::from(info.offset().seconds());
    sampler.put(&ZONE, &[("time_zone", info.abbreviation())], offset);
}
