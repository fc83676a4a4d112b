//! Kubernetes' CRI format: `<time> <stdout|stderr> <P|F>[:<tag>…] <text>`.

use memchr::memchr;

use super::{
    line::{Fragment, Stream},
    stamp::StampReader,
};

/// Reads one line without its newline; appends its text to `text`. `None` leaves `text` as it was.
pub(crate) fn parse(line: &[u8], text: &mut Vec<u8>, stamps: &mut StampReader) -> Option<Fragment> {
    let (time, rest) = word(line)?;
    let (stream, rest) = match rest.split_first_chunk::<7>()? {
        (b"stdout ", rest) => (Stream::Stdout, rest),
        (b"stderr ", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    // Some writers leave out the space before an empty text.
    let (tags, content) = word(rest).unwrap_or((rest, b""));
    let complete = match tags {
        [b'F'] | [b'F', b':', ..] => true,
        [b'P'] | [b'P', b':', ..] => false,
        _ => return None,
    };
    let time = stamps.read(time)?;
    text.extend_from_slice(content);
    Some(Fragment { stream, time, complete })
}

/// What comes before the first space, and after it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (word, rest) = text.split_at_checked(memchr(b' ', text)?)?;
    Some((word, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yagura_model::Nanos;

    fn check(line: &str, expected: Option<(Stream, bool, &str)>) {
        let mut text = Vec::new();
        let found = parse(line.as_bytes(), &mut text, &mut StampReader::default());
        let expected_text = expected.map_or("", |(_, _, text)| text);
        let time = Nanos(1_500_000_000);
        assert_eq!(found, expected.map(|(stream, complete, _)| Fragment { stream, time, complete }), "{line}");
        assert_eq!(String::from_utf8(text).unwrap(), expected_text, "{line}");
    }

    #[test]
    fn lines_are_read() {
        check("1970-01-01T00:00:01.5Z stdout F hello world", Some((Stream::Stdout, true, "hello world")));
        check("1970-01-01T00:00:01.5Z stderr P half ", Some((Stream::Stderr, false, "half ")));
        check("1970-01-01T09:00:01.500000000+09:00 stdout F:x:y tagged", Some((Stream::Stdout, true, "tagged")));
        check("1970-01-01T00:00:01.5Z stdout F ", Some((Stream::Stdout, true, "")));
        check("1970-01-01T00:00:01.5Z stdout F", Some((Stream::Stdout, true, "")));
    }

    #[test]
    fn what_is_no_cri_line_is_refused() {
        for line in [
            "",
            "text",
            "1970-01-01T00:00:01.5Z",
            "1970-01-01T00:00:01.5Z stdin F x",
            "1970-01-01T00:00:01.5Z stdout X x",
            "1970-01-01T00:00:01.5Z stdout FF x",
            "1970-01-01 stdout F x",
        ] {
            check(line, None);
        }
    }
}
