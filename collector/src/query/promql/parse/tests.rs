use super::parse;

fn refused(query: &str) -> (usize, usize, String) {
    let error = parse(query).expect_err(query);
    (error.line, error.column, error.message)
}

#[test]
fn a_refusal_says_where_and_what() {
    let check = |query: &str, line: usize, column: usize, message: &str| {
        assert_eq!(refused(query), (line, column, message.to_owned()), "{query}");
    };
    check("", 1, 1, "no expression found in input");
    check("sum(", 1, 5, "unexpected end of input");
    check("1 +", 1, 4, "unexpected end of input");
    check("sum(up))", 1, 8, "unexpected \")\"");
    check("up up", 1, 4, "unexpected \"up\"");
    check("sum by (job) up", 1, 14, "unexpected \"up\"");
    check("rate(up[5m]) *\n* 2", 2, 1, "unexpected \"*\"");
    check("foo(up)", 1, 1, "unknown function with name \"foo\"");
    check("up{job=\"a\" instance=\"b\"}", 1, 12, "unexpected \"instance\" in label matching, expected \",\" or \"}\"");
    check("up{job~\"a\"}", 1, 7, "unexpected character: '~'");
    check("up{job=a}", 1, 8, "unexpected \"a\" in label matching, expected string");
    check("{job=~\".*\"}", 1, 1, "vector selector must contain at least one non-empty matcher");
    check("up[5x]", 1, 4, "bad number or duration syntax: \"5x\"");
    check("up[0s]", 1, 4, "duration must be greater than 0");
    check("up[1e30]", 1, 4, "duration out of range");
    check("up{a=\"b", 1, 6, "unterminated quoted string");
    check("rate(up)", 1, 6, "expected type range vector in call to function \"rate\", got instant vector");
    check("exp(1)", 1, 5, "expected type instant vector in call to function \"exp\", got scalar");
    check("topk(\"a\", up)", 1, 11, "expected type scalar in aggregation expression, got string");
    check("a + on(x) group_left(x) b", 1, 1, "label \"x\" must not occur in ON and GROUP clause at once");
}

#[test]
fn faults_of_types_have_a_message_of_their_own() {
    for (query, part) in [
        ("rate(up[5m], 1)", "expected 1 argument(s) in call to \"rate\", got 2"),
        ("label_join(up)", "expected at least 3 argument(s) in call to \"label_join\", got 1"),
        ("1 > 2", "comparisons between scalars must use BOOL modifier"),
        ("up + bool up", "bool modifier can only be used on comparison operators"),
        ("1 and up", "set operator \"and\" not allowed in binary scalar expression"),
        ("up and on(a) group_left(b) up", "no grouping allowed for \"and\" operation"),
        ("-\"a\"", "unary expression only allowed on expressions of type scalar or"),
        ("sum(1)", "expected type instant vector in aggregation expression, got scalar"),
        ("up[5m] + 1", "binary expression must contain only scalar and instant vector types"),
        ("up offset 5m offset 5m", "offset may not be set multiple times"),
        ("sum(up) offset 5m", "offset modifier must be preceded by an"),
        ("up[5m][5m]", "ranges only allowed for vector selectors"),
        ("quantile(up)", "wrong number of arguments for aggregate expression provided, expected 2, got 1"),
    ] {
        let (.., message) = refused(query);
        assert!(message.contains(part), "{query}: {message}");
    }
}

#[test]
fn what_prometheus_takes_is_taken() {
    for query in [
        "1 + 2 * -3 ^ 2",
        "-0x1F + .5e-3 - Inf % NaN",
        "SUM BY (job) (rate(x_total{a!~\"b|c\"}[5m:30s] offset -1w @ start()))",
        "{\"http.server.duration\", \"service.name\"=\"x\", inf=\"y\"}",
        "sum without () (up) / on () group_left max by (\"a.b\", on, sum,) (up)",
        "foo{or=\"a\", organization=\"b\", by=\"c\"}",
        "topk(5, label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\"))",
        "a unless ignoring(x) b or c and on(y) d atan2 e",
        "a == bool 1 > bool b",
        "up @ -1.5 offset 1h5m3ms",
        "up[5m + 2 * step() - min(range(), 1m)] offset (1m * 2)",
        "rate(up[5m] smoothed)",
        "a + fill(0) b",
        "a * on(x) group_left(y) fill_right(-1) b",
        "absent_over_time(rate(x[5m])[1h:])",
        "  # a comment\nup # another",
        "instance:node_cpu:rate1m{job=\"a\"}",
        "x{a=\"\\u6ad3\\xe6\\xab\\x93\", b=`\\d+`, c='\"'}",
        "min_of(start(), end()) + step()",
        "count_values(\"a\", up)",
    ] {
        if let Err(error) = parse(query) {
            panic!("{query}: {error}");
        }
    }
}

#[test]
fn places_are_those_of_the_text() {
    use super::super::ast::Node;
    let query = "sum(rate(foo[5m]))\n + ( -bar )";
    let expr = parse(query).unwrap();
    let mut seen = Vec::new();
    expr.visit(&mut |expr| {
        let kind = match &expr.node {
            Node::Binary(_) => "binary",
            Node::Aggregate(_) => "aggregate",
            Node::Call { .. } => "call",
            Node::Matrix { .. } => "matrix",
            Node::Paren(_) => "paren",
            Node::Negate(_) => "negate",
            Node::Vector(_) => "vector",
            _ => "other",
        };
        seen.push((kind, query.get(expr.span.start..expr.span.end).unwrap()));
    });
    assert_eq!(
        seen,
        [
            ("binary", query),
            ("aggregate", "sum(rate(foo[5m]))"),
            ("call", "rate(foo[5m])"),
            ("matrix", "foo"),
            ("paren", "( -bar )"),
            ("negate", "-bar"),
            ("vector", "bar"),
        ]
    );
}

#[test]
fn a_hostile_query_is_refused_and_not_followed_down() {
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(parse(&deep).is_err());
    assert!(parse(&"-".repeat(100_000)).is_err());
    assert!(parse(&vec!["1"; 100_000].join("+")).is_err());
    assert!(parse(&vec!["1"; 1500].join("+")).is_ok());
    assert!(parse(&format!("up[{}1{}]", "(".repeat(100_000), ")".repeat(100_000))).is_err());
    assert!(parse(&format!("up{}", "[1m:]".repeat(100_000))).is_err());
}

#[test]
fn names_asked_for_are_listed_in_order() {
    let expr = parse("a / on(x) b + {__name__=~\"c\"} + rate(d[5m])").unwrap();
    assert_eq!(expr.metric_names(), ["a", "b", "d"]);
    assert!(parse("a").unwrap().into_matchers().is_some());
    assert!(parse("a offset 5m").unwrap().into_matchers().is_none());
}
