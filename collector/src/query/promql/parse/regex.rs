//! Regular expressions as Go's RE2 writes them, for the `regex` crate.

/// The same expression for the `regex` crate, which takes a lone `{` and a `[` within a class for syntax where Go
/// takes them for themselves.
pub(crate) fn from_go(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\\' => {
                out.push('\\');
                let next = after.chars().next().unwrap_or_default();
                if next != '\0' {
                    out.push(next);
                }
                rest = after.get(next.len_utf8()..).unwrap_or_default();
                continue;
            }
            '[' if in_class && !after.starts_with(':') => out.push_str("\\["),
            '[' if in_class => {
                // `[:alpha:]`, to be copied whole.
                let end = after.find(":]").map_or(0, |end| end + 2);
                out.push('[');
                out.push_str(after.get(..end).unwrap_or_default());
                rest = after.get(end..).unwrap_or_default();
                continue;
            }
            '[' => {
                in_class = true;
                out.push('[');
                // A bracket that comes first is a member of the class.
                let negated = after.strip_prefix('^');
                let members = negated.unwrap_or(after);
                if negated.is_some() {
                    out.push('^');
                }
                if let Some(others) = members.strip_prefix(']') {
                    out.push_str("\\]");
                    rest = others;
                } else {
                    rest = members;
                }
                continue;
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class && !is_repetition(after) => out.push_str("\\{"),
            _ => out.push(c),
        }
        rest = after;
    }
    out
}

/// Whether what follows a `{` makes it a repetition: `3}`, `3,}` or `3,5}`.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    !least.is_empty() && least.chars().chain(most.chars()).all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::from_go;

    #[test]
    fn what_go_takes_literally_is_escaped() {
        let check = |pattern: &str, text: &str| {
            let translated = from_go(pattern);
            let regex = regex::Regex::new(&format!("^(?s:{translated})$"));
            assert!(regex.unwrap().is_match(text), "{pattern} as {translated} on {text}");
        };
        check("a{b}", "a{b}");
        check("a{2}", "aa");
        check("a{2,3}b{,2}", "aaab{,2}");
        check("[[]x", "[x");
        check("[]a]+", "]a");
        check("[^]]", "b");
        check("[[:alpha:]_]+", "a_b");
        check("[a&&b]+", "a&b");
        check(r"\{x\}", "{x}");
        check("pro.*|(?i)DEV", "dev");
    }
}
