//! `notify.yaml` as it is written, before anything in it is believed.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use yagura_daemon::{config::DurationText, tls::ClientFiles};

use crate::notifiers::interval;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFile {
    pub(super) global: RawGlobal,
    pub(super) route: Option<RawRoute>,
    pub(super) receivers: Vec<RawReceiver>,
    pub(super) inhibit_rules: Vec<RawInhibit>,
    pub(super) time_intervals: Vec<interval::Named>,
    pub(super) mute_time_intervals: Vec<interval::Named>,
    pub(super) templates: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGlobal {
    pub(super) resolve_timeout: Option<DurationText>,
    pub(super) slack_api_url: Option<String>,
    pub(super) slack_api_url_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRoute {
    pub(super) receiver: Option<String>,
    pub(super) group_by: Option<Vec<String>>,
    pub(super) group_wait: Option<DurationText>,
    pub(super) group_interval: Option<DurationText>,
    pub(super) repeat_interval: Option<DurationText>,
    pub(super) matchers: Vec<String>,
    #[serde(rename = "match")]
    pub(super) equal: BTreeMap<String, String>,
    pub(super) match_re: BTreeMap<String, String>,
    #[serde(rename = "continue")]
    pub(super) goes_on: bool,
    pub(super) mute_time_intervals: Vec<String>,
    pub(super) active_time_intervals: Vec<String>,
    pub(super) routes: Vec<RawRoute>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReceiver {
    pub(super) name: String,
    #[serde(default)]
    pub(super) slack_configs: Vec<RawSlack>,
    #[serde(default)]
    pub(super) webhook_configs: Vec<RawWebhook>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSlack {
    pub(super) send_resolved: Option<bool>,
    pub(super) api_url: Option<String>,
    pub(super) api_url_file: Option<PathBuf>,
    pub(super) channel: Option<String>,
    pub(super) username: Option<String>,
    pub(super) icon_emoji: Option<String>,
    pub(super) icon_url: Option<String>,
    pub(super) title: Option<String>,
    pub(super) title_link: Option<String>,
    pub(super) text: Option<String>,
    pub(super) pretext: Option<String>,
    pub(super) color: Option<String>,
    pub(super) footer: Option<String>,
    pub(super) fallback: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWebhook {
    pub(super) send_resolved: Option<bool>,
    pub(super) url: Option<String>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) max_alerts: usize,
    pub(super) timeout: Option<DurationText>,
    pub(super) http_config: RawHttp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttp {
    pub(super) authorization: Option<RawAuthorization>,
    pub(super) basic_auth: Option<RawBasic>,
    pub(super) tls_config: ClientFiles,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuthorization {
    #[serde(rename = "type")]
    pub(super) scheme: Option<String>,
    pub(super) credentials: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBasic {
    pub(super) username: String,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInhibit {
    pub(super) source_matchers: Vec<String>,
    pub(super) target_matchers: Vec<String>,
    pub(super) source_match: BTreeMap<String, String>,
    pub(super) source_match_re: BTreeMap<String, String>,
    pub(super) target_match: BTreeMap<String, String>,
    pub(super) target_match_re: BTreeMap<String, String>,
    pub(super) equal: Vec<String>,
}
