//! The stages of a pipeline, parsed.

use regex::Regex;

use super::{
    ParseError,
    ast::{Comparison, LabelFilter, LabelFormat, LabelPick, PathStep, PatternPart, Stage, Unit},
    lex::Token,
    parse::Parser,
    template::Template,
    units,
};
use crate::storage::{LineFilter, MatchOp, Matcher};

/// A larger compiled expression is refused.
const REGEX_LIMIT: usize = 4 << 20;

impl Parser<'_> {
    /// Every stage up to something that is none (`unwrap`, a window, the end).
    pub(super) fn stages(&mut self) -> Result<Vec<Stage>, ParseError> {
        let mut stages = Vec::new();
        loop {
            match self.peek() {
                Token::Sign(sign @ ("|=" | "|~" | "!=" | "!~")) => {
                    let sign = *sign;
                    self.take();
                    stages.push(Stage::Line(self.line_filter(sign)?));
                }
                Token::Sign("|") => {
                    if matches!(self.peek_second(), Token::Word(word) if word == "unwrap") {
                        return Ok(stages);
                    }
                    self.take();
                    stages.push(self.stage()?);
                }
                _ => return Ok(stages),
            }
        }
    }

    fn line_filter(&mut self, sign: &str) -> Result<LineFilter, ParseError> {
        let at = self.at();
        let mut texts = vec![self.text("a text to look for")?];
        while self.accept_word("or") {
            texts.push(self.text("a text to look for")?);
        }
        match sign {
            "|=" => Ok(LineFilter::Contains(texts)),
            "!=" => Ok(LineFilter::NotContains(texts)),
            _ => {
                let either = texts.iter().map(|text| format!("(?:{text})")).collect::<Vec<_>>().join("|");
                let regex = self.regex(at, if let [one] = texts.as_slice() { one } else { &either })?;
                Ok(if sign == "|~" { LineFilter::Regex(regex) } else { LineFilter::NotRegex(regex) })
            }
        }
    }

    fn regex(&self, at: usize, text: &str) -> Result<Regex, ParseError> {
        let compiled = regex::RegexBuilder::new(text).size_limit(REGEX_LIMIT).build();
        compiled.map_err(|error| self.error(at, format!("bad regular expression: {error}")))
    }

    fn stage(&mut self) -> Result<Stage, ParseError> {
        let Token::Word(name) = self.peek().clone() else {
            return Ok(Stage::Filter(self.label_filter()?));
        };
        // A label may be named like a stage: `| json="x"` is a filter.
        let compares =
            matches!(self.peek_second(), Token::Sign("=" | "==" | "!=" | "=~" | "!~" | ">" | ">=" | "<" | "<="));
        if compares {
            return Ok(Stage::Filter(self.label_filter()?));
        }
        let at = self.at();
        self.take();
        match name.as_str() {
            "json" => Ok(Stage::Json(self.json_fields()?)),
            "logfmt" => self.logfmt(),
            "pattern" => self.pattern(),
            "regexp" => {
                let at = self.at();
                let text = self.text("a regular expression with named groups")?;
                let regex = self.regex(at, &text)?;
                if regex.capture_names().flatten().next().is_none() {
                    return Err(self.error(at, "regexp needs at least one named group: (?P<name>…)"));
                }
                Ok(Stage::Regexp(regex))
            }
            "unpack" => Ok(Stage::Unpack),
            "decolorize" => Ok(Stage::Decolorize),
            "line_format" => Ok(Stage::LineFormat(self.template()?)),
            "label_format" => self.label_format(),
            "drop" => Ok(Stage::Drop(self.picks()?)),
            "keep" => Ok(Stage::Keep(self.picks()?)),
            _ => Err(self.error(at, format!("there is no stage named `{name}`; a label filter needs a comparison"))),
        }
    }

    fn template(&mut self) -> Result<Template, ParseError> {
        let at = self.at();
        let text = self.text("a template in quotes")?;
        Template::parse(self.query, at, &text)
    }

    /// `a="b", c="d"`, or nothing.
    fn fields(&mut self) -> Result<Vec<(String, String, usize)>, ParseError> {
        let mut fields = Vec::new();
        while matches!(self.peek(), Token::Word(_)) {
            let label = self.word("a label's name")?;
            let at = self.at();
            let value = if self.accept("=") { self.text("a text in quotes")? } else { label.clone() };
            fields.push((label, value, at));
            if !self.accept(",") {
                break;
            }
        }
        Ok(fields)
    }

    fn json_fields(&mut self) -> Result<Vec<(String, Vec<PathStep>)>, ParseError> {
        let fields = self.fields()?.into_iter();
        fields.map(|(label, path, at)| Ok((label, self.path(at, &path)?))).collect()
    }

    /// `a.b[0]["c d"]`
    fn path(&self, at: usize, path: &str) -> Result<Vec<PathStep>, ParseError> {
        let wrong = || self.error(at, format!("`{path}` is not a path such as a.b[0]"));
        let mut steps = Vec::new();
        let mut rest = path;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (inside, left) = inner.split_once(']').ok_or_else(wrong)?;
                let key = inside.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
                steps.push(match key {
                    Some(key) => PathStep::Key(key.to_owned()),
                    None => PathStep::Index(inside.parse().map_err(|_| wrong())?),
                });
                rest = left;
            } else {
                let rest_of_key = rest.strip_prefix('.').unwrap_or(rest);
                let end = rest_of_key.find(['.', '[']).unwrap_or(rest_of_key.len());
                let (key, left) = rest_of_key.split_at_checked(end).ok_or_else(wrong)?;
                if key.is_empty() {
                    return Err(wrong());
                }
                steps.push(PathStep::Key(key.to_owned()));
                rest = left;
            }
        }
        if steps.is_empty() { Err(wrong()) } else { Ok(steps) }
    }

    fn logfmt(&mut self) -> Result<Stage, ParseError> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = self.peek().clone() {
            match flag.as_str() {
                "strict" => strict = true,
                "keep-empty" => keep_empty = true,
                _ => return Err(self.unexpected("--strict or --keep-empty")),
            }
            self.take();
        }
        let fields = self.fields()?.into_iter().map(|(label, key, _)| (label, key)).collect();
        Ok(Stage::Logfmt { strict, keep_empty, fields })
    }

    fn pattern(&mut self) -> Result<Stage, ParseError> {
        let at = self.at();
        let text = self.text("a pattern such as \"<ip> - <method>\"")?;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('<') {
            let (name, left) = after.split_once('>').ok_or_else(|| self.error(at, "`<` without `>` in a pattern"))?;
            let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !named {
                return Err(self.error(at, format!("`<{name}>` is not a capture in a pattern")));
            }
            if !before.is_empty() {
                parts.push(PatternPart::Literal(before.to_owned()));
            } else if matches!(parts.last(), Some(PatternPart::Capture(_))) {
                return Err(self.error(at, "two captures of a pattern need a text between them"));
            }
            parts.push(PatternPart::Capture((name != "_").then(|| name.to_owned())));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(PatternPart::Literal(rest.to_owned()));
        }
        if !parts.iter().any(|part| matches!(part, PatternPart::Capture(Some(_)))) {
            return Err(self.error(at, "a pattern needs at least one named capture such as <method>"));
        }
        Ok(Stage::Pattern(parts))
    }

    fn label_format(&mut self) -> Result<Stage, ParseError> {
        let mut formats = Vec::new();
        loop {
            let label = self.word("a label's name")?;
            self.expect("=")?;
            let format = match self.peek().clone() {
                Token::Word(other) => {
                    self.take();
                    LabelFormat::Rename(other)
                }
                _ => LabelFormat::Template(self.template()?),
            };
            formats.push((label, format));
            if !self.accept(",") {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    fn picks(&mut self) -> Result<Vec<LabelPick>, ParseError> {
        let mut picks = Vec::new();
        loop {
            let name = self.word("a label's name")?;
            let matcher = match self.match_op() {
                None => None,
                Some(op) => {
                    let at = self.at();
                    let value = self.text("a text in quotes")?;
                    Some(self.compiled(at, &name, op, &value)?)
                }
            };
            picks.push(LabelPick { name, matcher });
            if !self.accept(",") {
                return Ok(picks);
            }
        }
    }

    fn compiled(&self, at: usize, name: &str, op: MatchOp, value: &str) -> Result<Matcher, ParseError> {
        Matcher::new(name, op, value).map_err(|error| self.error(at, format!("bad regular expression: {error}")))
    }

    /// `a="b" and (c > 5 or d != "e")`; a comma is `and`.
    fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.label_filter_and()?;
        while self.accept_word("or") {
            left = LabelFilter::Or(Box::new(left), Box::new(self.label_filter_and()?));
        }
        Ok(left)
    }

    fn label_filter_and(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.label_filter_one()?;
        while self.accept_word("and") || self.accept(",") {
            left = LabelFilter::And(Box::new(left), Box::new(self.label_filter_one()?));
        }
        Ok(left)
    }

    fn label_filter_one(&mut self) -> Result<LabelFilter, ParseError> {
        if self.accept("(") {
            let inner = self.label_filter()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let label = self.word("a stage or a label's name")?;
        let sign = self.take();
        let at = self.at();
        if let Token::Text(text) = self.peek().clone() {
            self.take();
            let op = match sign {
                Token::Sign("=" | "==") => MatchOp::Equal,
                Token::Sign("!=") => MatchOp::NotEqual,
                Token::Sign("=~") => MatchOp::Regex,
                Token::Sign("!~") => MatchOp::NotRegex,
                _ => return Err(self.error(at, "a text is compared with =, !=, =~ or !~")),
            };
            return Ok(LabelFilter::Text(self.compiled(at, &label, op, &text)?));
        }
        let op = match sign {
            Token::Sign("=" | "==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::NotEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            _ => return Err(self.error(at, "expected a comparison")),
        };
        let negative = self.accept("-");
        let (value, unit) = match self.take() {
            Token::Number(number) => (number, Unit::Plain),
            Token::Quantity(text) => match (units::duration(&text), units::bytes(&text)) {
                (Some(seconds), _) => (seconds, Unit::Duration),
                (None, Some(bytes)) => (bytes, Unit::Bytes),
                (None, None) => return Err(self.error(at, format!("`{text}` is neither a duration nor a size"))),
            },
            _ => return Err(self.error(at, "expected a text in quotes, a number, a duration or a size")),
        };
        Ok(LabelFilter::Number { label, op, value: if negative { -value } else { value }, unit })
    }
}
