//! Text for Slack: escaped, cut, linked.

/// Escapes what `mrkdwn` gives a meaning: with it a label's value can neither ping a channel nor forge a link.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most `max` characters after escaping; what is cut ends with `…`. An escape is never cut in two.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let whole = escape(text);
    if whole.chars().count() <= max {
        return whole;
    }
    let mut cut = String::new();
    let mut length = 0;
    for c in text.chars() {
        let piece = escape(c.encode_utf8(&mut [0; 4]));
        let size = piece.chars().count();
        if length + size + 1 > max {
            break;
        }
        cut.push_str(&piece);
        length += size;
    }
    cut.push('…');
    cut
}

/// At most `max` characters of text that is not escaped here.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// A link, or only its label when the address is none that can be written into a link.
pub(super) fn link(url: &str, label: &str) -> String {
    let good = (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 2000
        && !url.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '|' | '"'));
    if good { format!("<{}|{label}>", url.replace('&', "&amp;")) } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_label_pings_or_links() {
        assert_eq!(escape("<!channel> & <http://x|y>"), "&lt;!channel&gt; &amp; &lt;http://x|y&gt;");
        assert_eq!(link("http://a/?x=1&y=2", "see"), "<http://a/?x=1&amp;y=2|see>");
        assert_eq!(link("http://a/|<!here>", "see"), "see");
        assert_eq!(link("javascript:alert(1)", "see"), "see");
    }

    #[test]
    fn text_is_cut_at_characters_and_never_inside_an_escape() {
        assert_eq!(escaped("日本語", 3), "日本語");
        assert_eq!(escaped("日本語です", 3), "日本…");
        assert_eq!(escaped("ab<<<", 7), "ab&lt;…");
        assert_eq!(escaped("ab<<<", 6), "ab…");
        assert_eq!(cut("abcdef", 3), "ab…");
    }
}
