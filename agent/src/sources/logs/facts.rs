//! What a finished line says of itself: its level and its trace.

use super::{
    fields,
    level::{self, Level},
    trace_ids::{self, Ids},
};

/// Lines longer than this are looked at only so far; a level or an id further on is hardly ever there.
const HORIZON: usize = 8 * 1024;

/// A line's level and ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) level: Level<'a>,
    pub(crate) ids: Ids,
}

/// Looks at one line.
pub(crate) fn of(body: &str) -> Facts<'_> {
    let body = horizon(body);
    let traced = trace_ids::may_have(body.as_bytes());
    if !body.trim_ascii_start().starts_with('{') {
        let ids = if traced { trace_ids::of_plain(body) } else { Ids::default() };
        return Facts { level: level::of_plain(body), ids };
    }
    let mut facts = Facts::default();
    let mut leveled = false;
    fields::walk(body, &mut |member| {
        if !leveled
            && (level::is_level_key(member.key) && matches!(member.parent, "" | "log" | "record"))
            && let Some(level) = level::of_value(member.value)
        {
            facts.level = level;
            leveled = true;
        } else if traced {
            facts.ids.take(member.parent, member.key, member.value);
        }
        // Most lines have no trace, and their level comes early.
        !leveled || traced
    });
    facts
}

fn horizon(body: &str) -> &str {
    if body.len() <= HORIZON {
        return body;
    }
    let end = (HORIZON - 3..=HORIZON).rev().find(|end| body.is_char_boundary(*end));
    end.and_then(|end| body.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_model::{Severity, SpanId, TraceId};

    #[test]
    fn json_lines_say_level_and_trace() {
        let line = r#"{"ts":1,"level":"warn","msg":"error","trace_id":"0af7651916cd43dd8448eb211c80319c","dd":{"span_id":"17"}}"#;
        let facts = of(line);
        assert_eq!(facts.level, Level { severity: Severity::Warn, text: "warn" });
        assert_eq!(facts.ids.trace, TraceId::from_hex("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(facts.ids.span, Some(SpanId(17)));
        assert_eq!(of(r#"{"log":{"level":"error"},"message":"x"}"#).level.severity, Severity::Error);
        assert_eq!(of(r#"{"level":50,"time":1,"msg":"x"}"#).level.severity, Severity::Error);
        assert_eq!(of(r#"{"message":"level"}"#), Facts::default());
    }

    #[test]
    fn plain_lines_too() {
        let facts = of("level=error trace_id=0af7651916cd43dd8448eb211c80319c");
        assert_eq!(facts.level.severity, Severity::Error);
        assert!(facts.ids.trace.is_some());
    }

    #[test]
    fn a_line_of_any_length_is_safe() {
        let line = format!("[error] {}", "日".repeat(10_000));
        assert_eq!(of(&line).level.severity, Severity::Error);
        let line = format!("{{\"blob\":\"{}\",\"level\":\"error\"}}", "日".repeat(10_000));
        assert_eq!(of(&line), Facts::default());
    }
}
