//! Text in, text out.

use super::*;
use yagura_model::Labels;

fn scope() -> Scope {
    let labels = Labels::from_pairs([("instance", "web-1:9100"), ("job", "node"), ("mountpoint", "/var <x>")]);
    let labels = Value::from(&labels);
    let sample = |instance: &str, value: f64| {
        let labels = Labels::from_pairs([("instance", instance), ("__value__", instance)]);
        Value::map([("Labels", Value::from(&labels)), ("Value", Value::Float(value))])
    };
    let queries = [
        ("up".to_owned(), Ok(Value::List(vec![sample("b", 1.0), sample("a", 0.0)]))),
        ("none".to_owned(), Ok(Value::List(Vec::new()))),
        ("bad(".to_owned(), Err("1:5: parse error".to_owned())),
    ];
    Scope {
        dot: Some(Value::map([("Labels", labels.clone()), ("Value", Value::Float(0.25))])),
        variables: vec![("labels", labels), ("value", Value::Float(0.25)), ("externalLabels", Value::map([]))],
        external_url: "http://yagura.example.com/base/".to_owned(),
        queries: queries.into_iter().collect(),
    }
}

fn expand(text: &str) -> Result<String, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    template.expand(&scope()).map_err(|error| error.to_string())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(expand(text).unwrap_err(), expected, "{text}");
}

#[test]
fn variables_and_fields_are_written() {
    check("plain", "plain");
    check("{{ $labels.instance }} of {{ .Labels.job }} is {{ $value }}", "web-1:9100 of node is 0.25");
    check("{{ $labels.nothing }}|{{ $externalLabels.cluster }}", "|");
    check("{{ $.Value }} {{ with $labels }}{{ .job }} {{ $.Value }}{{ end }}", "0.25 node 0.25");
    check(r#"{{ "a\tb\"" }}{{ `c\n` }}{{ 'x' }}"#, "a\tb\"c\\n120");
}

#[test]
fn spaces_are_trimmed_where_asked_and_comments_vanish() {
    check("a  {{- 1 -}}  b", "a1b");
    check("a {{/* note */}} b {{- /* note */ -}} c", "a  bc");
    check("{{ -1 }}", "-1");
}

#[test]
fn branches_follow_gos_truth() {
    check("{{ if $labels.job }}yes{{ else }}no{{ end }}", "yes");
    check("{{ if gt $value 0.5 }}high{{ else if gt $value 0.2 }}mid{{ else }}low{{ end }}", "mid");
    check("{{ if and (eq $labels.job `node`) (not false) }}ok{{ end }}", "ok");
    check("{{ with $labels.nothing }}x{{ else }}none{{ end }}", "none");
    check("{{ or $labels.nothing `default` }} {{ eq 1 2 1 }} {{ le 1 1.0 }}", "default true true");
}

#[test]
fn ranges_walk_query_results() {
    check("{{ range query `up` }}{{ .Labels.instance }}={{ .Value }} {{ end }}", "b=1 a=0 ");
    check("{{ range $i, $s := query `up` | sortByLabel `instance` }}{{ $i }}{{ $s.Labels.instance }}{{ end }}", "0a1b");
    check("{{ range query `none` }}x{{ else }}nothing{{ end }}", "nothing");
    check("{{ range query `up` }}{{ .Value }}{{ break }}{{ end }}", "1");
    check("{{ query `up` | first | value }} {{ query `up` | first | label `instance` }}", "1 b");
    check("{{ (query `up` | first).Value }} {{ len (query `up`) }}", "1 2");
    check("{{ $n := 0 }}{{ range query `up` }}{{ $n = .Value }}{{ end }}{{ $n }}", "0");
}

#[test]
fn blocks_are_defined_and_called() {
    check("{{ define `x` }}<{{ . }}>{{ end }}{{ template `x` $value }}", "<0.25>");
    check("{{ define `x` }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template `x` (args 1 `b`) }}", "1-b");
    check("{{ block `x` 5 }}<{{ . }}>{{ end }}", "<5>");
}

#[test]
fn numbers_are_humanized_as_prometheus_does() {
    for (call, expected) in [
        ("humanize 0", "0"),
        ("humanize 1234567", "1.235M"),
        ("humanize 0.00123", "1.23m"),
        ("humanize 999.99", "1000"),
        ("humanize `NaN`", "NaN"),
        ("humanize1024 1048576", "1Mi"),
        ("humanize1024 1", "1"),
        ("humanizeDuration 0", "0s"),
        ("humanizeDuration 59.5", "59.5s"),
        ("humanizeDuration 3661", "1h 1m 1s"),
        ("humanizeDuration 172800", "2d 0h 0m 0s"),
        ("humanizeDuration -90", "-1m 30s"),
        ("humanizeDuration 0.0123", "12.3ms"),
        ("humanizePercentage 0.1234567", "12.35%"),
        ("humanizeTimestamp 1435065584.128", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("humanizeTimestamp 0", "1970-01-01 00:00:00 +0000 UTC"),
        ("parseDuration `1h30m`", "5400"),
    ] {
        check(&format!("{{{{ {call} }}}}"), expected);
    }
    check("{{ $value | humanizePercentage }}", "25%");
    refused("{{ humanize `x` }}", "humanize needs a number, not \"x\"");
}

#[test]
fn text_is_shaped() {
    check("{{ title `hello world` }} {{ toUpper `a` }} {{ `B` | toLower }}", "Hello World A b");
    check("{{ reReplaceAll `(.*):\\d+` `$1` $labels.instance }}", "web-1");
    check("{{ match `^web` $labels.instance }}", "true");
    check("{{ stripPort `a.b:1` }} {{ stripDomain `a.b:1` }} {{ stripPort `[::1]:9` }}", "a.b a:1 ::1");
    check("{{ graphLink `up == 0` }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0");
    check("{{ externalURL }} {{ pathPrefix }}", "http://yagura.example.com/base/ /base");
    check("{{ stringSlice `a` `b` | join `,` }}", "a,b");
    check("{{ index $labels `job` }} {{ html `<a>` }} {{ urlquery `a b&` }}", "node &lt;a&gt; a+b%26");
}

#[test]
fn printf_writes_as_go_does() {
    for (call, expected) in [
        ("printf `%.2f` $value", "0.25"),
        ("printf `%5.1f|%-5s|%05d|%+d` 1.25 `ab` 42 7", "  1.2|ab   |00042|+7"),
        ("printf `%v %s %q` 1.0 `a` `b`", "1 a \"b\""),
        ("printf `%d` $value", "%!d(float64=0.25)"),
        ("printf `%s`", "%!s(MISSING)"),
        ("printf `x` 1", "x%!(EXTRA int=1)"),
        ("printf `%e %g` 12345.678 1e21", "1.234568e+04 1e+21"),
        ("printf `100%%`", "100%"),
    ] {
        check(&format!("{{{{ {call} }}}}"), expected);
    }
}

#[test]
fn what_is_wrong_is_said() {
    refused("{{ if }}", "missing value");
    refused("{{ if true }}", "{{if}} without {{end}}");
    refused("{{ end }}", "unexpected {{end}} or {{else}}");
    refused("{{ $value", "unclosed action: `}}` is missing");
    refused("{{ \"abc }}", "unclosed string");
    refused("{{ nope 1 }}", "function \"nope\" not defined");
    refused("{{ $nope }}", "undefined variable \"$nope\"");
    refused("{{ template `nope` }}", "template \"nope\" not defined");
    refused("{{ query `none` | first }}", "first() called on vector with no elements");
    refused("{{ query `bad(` }}", "query \"bad(\" failed: 1:5: parse error");
    refused("{{ $value.x }}", "can't read field x of a float64");
    refused("{{ reReplaceAll `(` `` `` }}".replace("``", "`x`").as_str(), {
        "bad regular expression \"(\": regex parse error:\n    (\n    ^\nerror: unclosed group"
    });
    refused("{{ define `x` }}{{ template `x` }}{{ end }}{{ template `x` }}", "templates call one another too deep");
    refused("{{ range 10000 }}{{ range 10000 }}x{{ end }}{{ end }}", "the text is longer than 65536 bytes");
    refused(&"{{ if 1 }}".repeat(100), "blocks are nested too deep");
    refused(&format!("{{{{ {} }}}}", "(".repeat(1000)), "parentheses are nested too deep");
}

#[test]
fn an_unknown_query_is_asked_for() {
    let template = Template::parse("{{ query `new` }}").unwrap();
    assert_eq!(template.expand(&scope()), Err(Expand::NeedsQuery("new".to_owned())));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"[{}().$|"`a-c =:,\\-]{0,40}"#) {
        let _any = expand(&text);
        let _any = expand(&format!("{{{{ {text} }}}}"));
    }
}
