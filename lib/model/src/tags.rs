//! The tags that every series, log stream and span carries.

use std::sync::Arc;

/// What a thing is called, in the words its team uses. Absent is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// The technology that wrote it: `nginx`, `redis`, `host`, `yagura`.
    pub source: Arc<str>,
    /// What the team calls it.
    pub service: Arc<str>,
    /// `prod`, `staging`, …
    pub env: Arc<str>,
    /// The part it plays: `web`, `worker`, `db`.
    pub role: Arc<str>,
    /// The version of the service; carried as an attribute, not as a series label.
    pub version: Arc<str>,
    /// Tags users added in the agent's config or by labels, sorted by name.
    pub extra: Arc<[(Arc<str>, Arc<str>)]>,
}

impl Tags {
    /// Names and values of the tags that are series labels: `env`, `role`, `service`, `source`, then the extra ones;
    /// empty ones are left out.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        [("env", &*self.env), ("role", &*self.role), ("service", &*self.service), ("source", &*self.source)]
            .into_iter()
            .chain(self.extra.iter().map(|(name, value)| (&**name, &**value)))
            .filter(|(_, value)| !value.is_empty())
    }
}
