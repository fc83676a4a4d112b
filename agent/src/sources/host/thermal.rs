//! Temperatures and coolers, from `/sys/class/thermal`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Sampler, gauge},
};

const TEMPERATURE: Metric = gauge("node_thermal_zone_temp", "Cel", "Temperature of a zone.");
const COOLER: Metric = gauge("node_cooling_device_cur_state", "", "How much a cooler cools, by number.");
const COOLER_MAX: Metric = gauge("node_cooling_device_max_state", "", "How much a cooler can cool, by number.");

pub(super) const METRICS: &[Metric] = &[TEMPERATURE, COOLER, COOLER_MAX];

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    let names = host.sys_names("class/thermal")?;
    for name in &names {
        let Ok(kind) = host.sys(&format!("class/thermal/{name}/type")).map(str::to_owned) else { continue };
        let mut number = |file: &str| host.sys(&format!("class/thermal/{name}/{file}")).ok()?.parse::<i64>().ok();
        if let Some(zone) = name.strip_prefix("thermal_zone") {
            // A sensor that is asleep does not tell.
            if let Some(thousandths) = number("temp").and_then(|value| i32::try_from(value).ok()) {
                sampler.put(&TEMPERATURE, &[("type", &*kind), ("zone", zone)], f64::from(thousandths) / 1000.0);
            }
        } else if let Some(device) = name.strip_prefix("cooling_device") {
            for (file, metric) in [("cur_state", &COOLER), ("max_state", &COOLER_MAX)] {
                if let Some(state) = number(file) {
                    sampler.put(metric, &[("name", device), ("type", &*kind)], state);
                }
            }
        }
    }
    host.put_back(names);
    Ok(())
}
