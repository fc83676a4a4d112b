//! Text of a template → [`Node`]s: Go's `text/template` grammar, as far as rule files use it.

use std::collections::BTreeMap;

use super::{Error, value::Value};

/// Parentheses and blocks inside one another; deeper is a mistake or an attack.
const MAX_DEPTH: usize = 50;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// `{{ pipeline }}`: writes the value, or sets a variable.
    Action(Pipeline),
    /// `if`/`else if`/`else`: the first branch whose pipeline is true; an `else` has none.
    If(Vec<(Option<Pipeline>, Vec<Node>)>),
    Range {
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// `template "name" pipeline`.
    Call {
        name: String,
        argument: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `:=` rather than `=`.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// One word of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    /// `.` and `.a.b`.
    Field(Vec<String>),
    /// `$x` and `$x.a.b`; the root is `$`.
    Variable(String, Vec<String>),
    Function(String),
    /// `( … )` and `( … ).a`.
    Group(Box<Pipeline>, Vec<String>),
}

/// A template's own text and the blocks it defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parsed {
    pub(super) root: Vec<Node>,
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

/// What stands between the delimiters, cut into words.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `.name` that follows a space (or starts), or a lone `.`.
    Dotted(String),
    /// `.name` that follows a variable or a closing parenthesis at once.
    Attached(String),
    Variable(String),
    Literal(Value),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// How a list of nodes ended.
#[derive(Debug, PartialEq)]
enum End {
    Input,
    Block,
    /// `else`, with the words after it.
    Else(Vec<Token>),
}

pub(super) fn parse(text: &str) -> Result<Parsed, Error> {
    let mut parser = Parser { pieces: split(text)?.into_iter(), parsed: Parsed::default(), depth: 0 };
    let (root, end) = parser.nodes()?;
    if end != End::Input {
        return Err(Error::new("unexpected {{end}} or {{else}}"));
    }
    parser.parsed.root = root;
    Ok(parser.parsed)
}

/// Cuts at `{{` and `}}`, obeying the trim marks.
fn split(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let (trims_before, inside) = match after.strip_prefix('-') {
            Some(stripped) if stripped.starts_with(char::is_whitespace) => (true, stripped),
            _ => (false, after),
        };
        let before = if trim { before.trim_start() } else { before };
        let before = if trims_before { before.trim_end() } else { before };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let (tokens, after) = action(inside)?;
        (trim, rest) = after;
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens));
        }
    }
    let rest = if trim { rest.trim_start() } else { rest };
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The words up to `}}` (none for a comment), whether the text after is trimmed, and that text.
#[expect(clippy::type_complexity, reason = "three answers of one small scanner")]
fn action(inside: &str) -> Result<(Option<Vec<Token>>, (bool, &str)), Error> {
    if let Some(comment) = inside.trim_start().strip_prefix("/*") {
        let (_, after) = comment.split_once("*/").ok_or_else(|| Error::new("unclosed comment"))?;
        let after = after.trim_start();
        return match (after.strip_prefix("-}}"), after.strip_prefix("}}")) {
            (Some(rest), _) => Ok((None, (true, rest))),
            (None, Some(rest)) => Ok((None, (false, rest))),
            (None, None) => Err(Error::new("a comment must end its action")),
        };
    }
    let mut tokens = Vec::new();
    let mut rest = inside;
    loop {
        let trimmed = rest.trim_start();
        let attaches =
            matches!(tokens.last(), Some(Token::Variable(_) | Token::Attached(_) | Token::Dotted(_) | Token::Close));
        let spaced = trimmed.len() < rest.len() || !attaches;
        if let Some(after) = trimmed.strip_prefix("}}") {
            return Ok((Some(tokens), (false, after)));
        }
        if spaced && let Some(after) = trimmed.strip_prefix("-}}") {
            return Ok((Some(tokens), (true, after)));
        }
        let (token, after) = token(trimmed, spaced)?;
        tokens.push(token);
        rest = after;
    }
}

fn token(text: &str, spaced: bool) -> Result<(Token, &str), Error> {
    let first = text.chars().next().ok_or_else(|| Error::new("unclosed action: `}}` is missing"))?;
    for (mark, token) in [
        (":=", Token::Declare),
        ("=", Token::Assign),
        ("|", Token::Pipe),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ] {
        if let Some(after) = text.strip_prefix(mark) {
            return Ok((token, after));
        }
    }
    match first {
        '"' => quoted(text),
        '`' => {
            let inner = text.strip_prefix('`').unwrap_or_default();
            let (raw, after) = inner.split_once('`').ok_or_else(|| Error::new("unclosed raw string"))?;
            Ok((Token::Literal(raw.into()), after))
        }
        '\'' => character(text),
        '$' => {
            let (name, after) = word(text.strip_prefix('$').unwrap_or_default());
            Ok((Token::Variable(name.to_owned()), after))
        }
        '.' if !text.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => {
            let (name, after) = word(text.strip_prefix('.').unwrap_or_default());
            let name = name.to_owned();
            Ok((if spaced { Token::Dotted(name) } else { Token::Attached(name) }, after))
        }
        c if c.is_ascii_digit() || matches!(c, '.' | '+' | '-') => number(text),
        c if c.is_alphabetic() || c == '_' => {
            let (name, after) = word(text);
            Ok((Token::Word(name.to_owned()), after))
        }
        c => Err(Error::new(format!("unexpected {c:?} in an action"))),
    }
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn number(text: &str) -> Result<(Token, &str), Error> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let mut end = sign;
    let mut previous = ' ';
    for c in text.chars().skip(sign) {
        let exponent_sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign) {
            break;
        }
        end += c.len_utf8();
        previous = c;
    }
    let (digits, after) = text.split_at_checked(end).unwrap_or((text, ""));
    let plain = digits.replace('_', "");
    let hexadecimal = plain.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let value = hexadecimal
        .or_else(|| plain.parse().ok())
        .map(Value::Int)
        .or_else(|| plain.parse().ok().filter(|_| plain.contains(|c: char| c.is_ascii_digit())).map(Value::Float));
    let value = value.ok_or_else(|| Error::new(format!("bad number `{digits}`")))?;
    Ok((Token::Literal(value), after))
}

fn quoted(text: &str) -> Result<(Token, &str), Error> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Literal(value.into()), text.get(at + 1..).unwrap_or_default())),
            '\n' => break,
            '\\' => value.push(escape(&mut chars)?),
            c => value.push(c),
        }
    }
    Err(Error::new("unclosed string"))
}

fn character(text: &str) -> Result<(Token, &str), Error> {
    let mut chars = text.char_indices().skip(1);
    let value = match chars.next() {
        Some((_, '\\')) => escape(&mut chars)?,
        Some((_, c)) => c,
        None => return Err(Error::new("unclosed character")),
    };
    match chars.next() {
        Some((at, '\'')) => {
            let value = Value::Int(i64::from(u32::from(value)));
            Ok((Token::Literal(value), text.get(at + 1..).unwrap_or_default()))
        }
        _ => Err(Error::new("unclosed character")),
    }
}

fn escape(chars: &mut impl Iterator<Item = (usize, char)>) -> Result<char, Error> {
    let bad = || Error::new("bad escape in a string");
    let (_, kind) = chars.next().ok_or_else(bad)?;
    let digits = match kind {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        '\\' | '"' | '\'' => return Ok(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(bad()),
    };
    let hexadecimal: String = chars.take(digits).map(|(_, c)| c).collect();
    u32::from_str_radix(&hexadecimal, 16).ok().and_then(char::from_u32).ok_or_else(bad)
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    parsed: Parsed,
    depth: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, End), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new("blocks are nested too deep"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            let tokens = match self.pieces.next() {
                None => break End::Input,
                Some(Piece::Text(text)) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(tokens)) => tokens,
            };
            let (keyword, rest) = match tokens.split_first() {
                Some((Token::Word(word), rest)) => (word.as_str(), rest),
                _ => ("", tokens.as_slice()),
            };
            match keyword {
                "end" if rest.is_empty() => break End::Block,
                "else" => break End::Else(rest.to_vec()),
                "define" | "block" => self.define(keyword, rest, &mut nodes)?,
                _ => nodes.push(self.statement(keyword, rest, &tokens)?),
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn statement(&mut self, keyword: &str, rest: &[Token], all: &[Token]) -> Result<Node, Error> {
        match keyword {
            "if" => self.branches(pipeline(rest)?),
            "range" => {
                let over = pipeline(rest)?;
                let (body, otherwise) = self.body("range")?;
                Ok(Node::Range { over, body, otherwise })
            }
            "with" => {
                let value = pipeline(rest)?;
                let (body, otherwise) = self.body("with")?;
                Ok(Node::With { value, body, otherwise })
            }
            "template" => call(rest),
            "break" if rest.is_empty() => Ok(Node::Break),
            "continue" if rest.is_empty() => Ok(Node::Continue),
            _ => pipeline(all).map(Node::Action),
        }
    }

    fn branches(&mut self, condition: Pipeline) -> Result<Node, Error> {
        let mut branches = Vec::new();
        let mut condition = Some(condition);
        loop {
            let (body, end) = self.nodes()?;
            let last = condition.is_none();
            branches.push((condition.take(), body));
            match end {
                End::Block => return Ok(Node::If(branches)),
                End::Else(rest) if !last => {
                    condition = match rest.split_first() {
                        None => None,
                        Some((Token::Word(word), rest)) if word == "if" => Some(pipeline(rest)?),
                        Some(_) => return Err(Error::new("unexpected words after {{else}}")),
                    };
                }
                End::Else(_) => return Err(Error::new("{{else}} after {{else}}")),
                End::Input => return Err(Error::new("{{if}} without {{end}}")),
            }
        }
    }

    /// What stands until `end`, and after an `else`.
    fn body(&mut self, keyword: &str) -> Result<(Vec<Node>, Vec<Node>), Error> {
        let (body, end) = self.nodes()?;
        match end {
            End::Block => Ok((body, Vec::new())),
            End::Else(rest) if rest.is_empty() => match self.nodes()? {
                (otherwise, End::Block) => Ok((body, otherwise)),
                _ => Err(Error::new(format!("{{{{{keyword}}}}} without {{{{end}}}}"))),
            },
            _ => Err(Error::new(format!("{{{{{keyword}}}}} without {{{{end}}}}"))),
        }
    }

    fn define(&mut self, keyword: &str, rest: &[Token], nodes: &mut Vec<Node>) -> Result<(), Error> {
        let Some((Token::Literal(Value::Text(name)), argument)) = rest.split_first() else {
            return Err(Error::new(format!("{{{{{keyword}}}}} needs a quoted name")));
        };
        let argument = if keyword == "block" { Some(pipeline(argument)?) } else { None };
        let (body, end) = self.nodes()?;
        if end != End::Block {
            return Err(Error::new(format!("{{{{{keyword}}}}} without {{{{end}}}}")));
        }
        self.parsed.defined.insert(name.clone(), body);
        if argument.is_some() {
            nodes.push(Node::Call { name: name.clone(), argument });
        }
        Ok(())
    }
}

fn call(rest: &[Token]) -> Result<Node, Error> {
    match rest.split_first() {
        Some((Token::Literal(Value::Text(name)), [])) => Ok(Node::Call { name: name.clone(), argument: None }),
        Some((Token::Literal(Value::Text(name)), rest)) => {
            Ok(Node::Call { name: name.clone(), argument: Some(pipeline(rest)?) })
        }
        _ => Err(Error::new("{{template}} needs a quoted name")),
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, Error> {
    let mut rest = tokens;
    let pipeline = read_pipeline(&mut rest, 0)?;
    if rest.is_empty() { Ok(pipeline) } else { Err(Error::new("unexpected `)`")) }
}

fn read_pipeline(rest: &mut &[Token], depth: usize) -> Result<Pipeline, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new("parentheses are nested too deep"));
    }
    let mut pipeline = declaration(rest);
    let mut command = Vec::new();
    while let Some((token, after)) = rest.split_first() {
        if *token == Token::Close {
            break;
        }
        *rest = after;
        match token {
            Token::Pipe if command.is_empty() => return Err(Error::new("nothing before `|`")),
            Token::Pipe => pipeline.commands.push(std::mem::take(&mut command)),
            token => command.push(operand(token, rest, depth)?),
        }
    }
    if command.is_empty() {
        return Err(Error::new("missing value"));
    }
    pipeline.commands.push(command);
    Ok(pipeline)
}

/// `$x :=`, `$x =`, `$i, $x :=` at the start.
fn declaration(rest: &mut &[Token]) -> Pipeline {
    let (variables, mark, after) = match rest {
        [Token::Variable(one), mark @ (Token::Declare | Token::Assign), after @ ..] => (vec![one.clone()], mark, after),
        [
            Token::Variable(one),
            Token::Comma,
            Token::Variable(two),
            mark @ (Token::Declare | Token::Assign),
            after @ ..,
        ] => (vec![one.clone(), two.clone()], mark, after),
        _ => return Pipeline::default(),
    };
    let declares = *mark == Token::Declare;
    *rest = after;
    Pipeline { variables, declares, commands: Vec::new() }
}

fn operand(token: &Token, rest: &mut &[Token], depth: usize) -> Result<Operand, Error> {
    match token {
        Token::Word(word) => Ok(match word.as_str() {
            "true" => Operand::Literal(Value::Bool(true)),
            "false" => Operand::Literal(Value::Bool(false)),
            "nil" => Operand::Literal(Value::Nil),
            _ => Operand::Function(word.clone()),
        }),
        Token::Dotted(name) if name.is_empty() => Ok(Operand::Field(Vec::new())),
        Token::Dotted(name) => {
            let mut path = vec![name.clone()];
            attached(rest, &mut path)?;
            Ok(Operand::Field(path))
        }
        Token::Variable(name) => {
            let mut path = Vec::new();
            attached(rest, &mut path)?;
            Ok(Operand::Variable(name.clone(), path))
        }
        Token::Literal(value) => Ok(Operand::Literal(value.clone())),
        Token::Open => {
            let inner = read_pipeline(rest, depth + 1)?;
            let Some((Token::Close, after)) = rest.split_first() else {
                return Err(Error::new("unclosed parenthesis"));
            };
            *rest = after;
            let mut path = Vec::new();
            attached(rest, &mut path)?;
            Ok(Operand::Group(Box::new(inner), path))
        }
        token => Err(Error::new(format!("unexpected {token:?}"))),
    }
}

fn attached(rest: &mut &[Token], path: &mut Vec<String>) -> Result<(), Error> {
    while let Some((Token::Attached(name), after)) = rest.split_first() {
        if name.is_empty() {
            return Err(Error::new("a name must follow `.`"));
        }
        path.push(name.clone());
        *rest = after;
    }
    Ok(())
}
