//! Which texts are paths, in which normal spelling, and what is said of the others.

use super::*;

fn normal(text: &str) -> String {
    Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

fn refusal(text: &str) -> PathError {
    Path::parse(text).map_or_else(|error| error, |path| panic!("{text} was read as {path}"))
}

#[test]
fn every_spelling_has_one_normal_form() {
    let cases = [
        ("$", "$"),
        ("$.a.b", "$.a.b"),
        ("$['a'][\"b\"]", "$.a.b"),
        ("$ .a [ 'b' ]\n[0]", "$.a.b[0]"),
        ("$.a[-1].*", "$.a[-1][*]"),
        ("{.a.b}", "$.a.b"),
        ("{$.a}", "$.a"),
        (".a.b[*]", "$.a.b[*]"),
        ("{['a']}", "$.a"),
        (r"$.metadata.annotations.corp\.io/owner", "$.metadata.annotations['corp.io/owner']"),
        (r"{.metadata.labels.app\.kubernetes\.io/name}", "$.metadata.labels['app.kubernetes.io/name']"),
        ("{.metadata.labels.my-app}", "$.metadata.labels['my-app']"),
        ("$object.kind", "$object.kind"),
        ("$pod.metadata.labels", "$pod.metadata.labels"),
        ("$podSpec['hostNetwork']", "$podSpec.hostNetwork"),
        ("$containers", "$containers"),
        ("$containers.*.image", "$containers[*].image"),
        ("$containers[-1]", "$containers[-1]"),
        ("$.größe_2", "$.größe_2"),
    ];
    for (text, wanted) in cases {
        assert_eq!(normal(text), wanted, "{text}");
        assert_eq!(normal(wanted), wanted, "the normal form is its own normal form");
    }
}

#[test]
fn quoted_names_come_out_as_they_are_meant() {
    let cases = [
        ("$['a b']", "a b"),
        ("$[\"it's\"]", "it's"),
        (r"$['a\'b']", "a'b"),
        (r"$['a\\b']", r"a\b"),
        (r"$['\u00e9']", "é"),
        (r"$['\ud83d\ude00']", "😀"),
        (r"$['\n\t\/']", "\n\t/"),
        ("$['']", ""),
        ("$['$.a[*]']", "$.a[*]"),
        ("$['\u{a0}a\u{a0}']", "\u{a0}a\u{a0}"),
        ("$.\u{a0}a\u{a0}", "\u{a0}a\u{a0}"),
        (r"$.a\.b\.c", "a.b.c"),
        ("$['?@.a']", "?@.a"),
    ];
    for (text, name) in cases {
        let path = Path::parse(text).unwrap();
        assert_eq!(path.segments(), [Segment::Name(name.into())], "{text}");
        assert_eq!(Path::parse(&path.to_string()).unwrap(), path, "{text} from its normal form");
    }
}

#[test]
fn what_is_suggested_is_a_path_with_all_of_its_mistakes_mended() {
    for (text, position, suggestion) in [
        ("$.labels.my-app.corp.io/a-b.c", 11, Some("$.labels['my-app.corp.io/a-b.c']")),
        ("$.labels.app/name[0]", 12, Some("$.labels['app/name'][0]")),
        ("$.other.corp.io/owner", 15, Some("$.other.corp['io/owner']")),
        ("$.a-b.c-d", 3, Some("$['a-b']['c-d']")),
        ("$contianers[*].image", 0, Some("$containers[*].image")),
        ("$podspec.a-b", 0, Some("$podSpec['a-b']")),
        ("$data.a", 0, Some("$.data.a")),
        ("$.a-b[?", 3, None),
    ] {
        let error = refusal(text);
        assert_eq!((error.position, error.suggestion.as_deref()), (position, suggestion), "{text}");
    }
}

#[test]
fn mistakes_are_refused_with_their_position_and_what_would_do() {
    let cases = [
        ("", 0, None),
        ("  ", 0, None),
        (" $.a", 0, Some("$.a")),
        ("$.a ", 3, Some("$.a")),
        ("$.a b", 3, Some("$['a b']")),
        ("$. a", 2, None),
        ("a.b", 0, Some("$.a.b")),
        ("@.a", 0, Some("$.a")),
        ("/a/b", 0, None),
        ("$spec.replicas", 0, Some("$.spec.replicas")),
        ("$podspec.a", 0, Some("$podSpec.a")),
        ("$.a.", 4, None),
        ("$.a..", 5, None),
        ("$.a-b.c", 3, Some("$['a-b'].c")),
        ("$.annotations.corp.io/owner", 21, Some("$.annotations['corp.io/owner']")),
        ("$.a.0", 4, Some("$.a[0]")),
        ("$.a.'b'", 4, Some("$.a['b']")),
        ("$.a.['b']", 3, Some("$.a['b']")),
        ("$.a[b]", 3, Some("$.a['b']")),
        ("$.a[corp.io/owner]", 3, Some("$.a['corp.io/owner']")),
        ("$.a[]", 3, Some("$.a[*]")),
        ("$containers[].image", 11, Some("$containers[*].image")),
        ("$..[]", 1, Some("$..[*]")),
        ("$..[a-b]", 1, Some("$..['a-b']")),
        ("$.a[01]", 3, Some("$.a[1]")),
        ("$.a[-0]", 3, Some("$.a[0]")),
        ("$.a[9007199254740992]", 3, None),
        ("$.a[0", 3, Some("$.a[0]")),
        ("$.a['b", 4, None),
        (r"$.a['\x']", 3, None),
        (r"$.a['\ud800']", 3, None),
        ("$.a['b\tc']", 3, None),
        ("$.a]", 3, None),
        ("$.a[?@.b", 3, Some("$.a[?@.b]")),
        ("$.a[?]", 5, None),
        ("$.a[?@.b ==]", 11, None),
        ("$.a[1 2]", 5, None),
        ("$.a[- 1]", 3, None),
        ("$.größe.a-b", 9, Some("$.größe['a-b']")),
        (r"$.a\b", 3, Some("$['ab']")),
        ("{.a}{.b}", 3, None),
        ("{.a", 0, None),
        ("{range .items[*]}", 1, None),
        ("{[b]}", 1, Some("$['b']")),
        ("$.a.length()", 10, None),
        ("$containers.image", 11, Some("$containers[*].image")),
        ("$containers['image']", 11, Some("$containers[*]['image']")),
    ];
    for (text, position, suggestion) in cases {
        let error = refusal(text);
        assert_eq!((error.position, error.suggestion.as_deref()), (position, suggestion), "{text}: {error}");
    }
}

#[test]
fn of_a_namespace_only_metadata_can_be_named() {
    assert_eq!(normal("$namespace.metadata.labels['a.b/c']"), "$namespace.metadata.labels['a.b/c']");
    for (text, position, suggestion) in [
        ("$namespace", 10, "$namespace.metadata"),
        ("$namespace.labels", 10, "$namespace.metadata.labels"),
        ("$namespace[*]", 10, "$namespace.metadata[*]"),
    ] {
        let error = refusal(text);
        assert_eq!((error.position, error.suggestion.as_deref()), (position, Some(suggestion)), "{error}");
        assert_eq!(normal(suggestion), suggestion);
    }
    for text in ["$namespace.spec.x", "$namespace.status.phase", "$namespace['kind', 'labels']"] {
        let error = refusal(text);
        assert_eq!((error.position, error.suggestion.as_deref()), (10, None), "{error}");
        assert!(error.reason.contains("only its metadata is known"), "{error}");
    }
    assert_eq!(refusal("$namespace..labels").suggestion.as_deref(), Some("$namespace.metadata..labels"));
}

#[test]
fn an_operator_of_another_language_is_refused_with_what_says_the_same() {
    let cases = [
        ("@.b = 1", 4, "@.b == 1"),
        ("@.b === 1", 4, "@.b == 1"),
        ("@.b !== 1", 4, "@.b != 1"),
        ("@.b <> 1", 4, "@.b != 1"),
        ("@.b & @.c", 4, "@.b && @.c"),
        ("@.b and @.c", 4, "@.b && @.c"),
        ("@.b OR @.c", 4, "@.b || @.c"),
        ("not @.b", 0, "!@.b"),
        ("@.b && not @.c", 7, "@.b && !@.c"),
        ("@.b == x-y", 7, "@.b == 'x-y'"),
        ("@.b in ['x', 'y']", 4, "@.b == 'x' || @.b == 'y'"),
        ("@['b'] in [x, 1, true]", 7, "@['b'] == 'x' || @['b'] == 1 || @['b'] == true"),
        ("@.b in ('x') && @.c", 4, "@.b == 'x' && @.c"),
        ("@.c && @.b in ['x', 'y']", 11, "@.c && (@.b == 'x' || @.b == 'y')"),
        ("@.b nin ['x', 'y']", 4, "@.b != 'x' && @.b != 'y'"),
        ("@.b not in ['x']", 4, "@.b != 'x'"),
        ("@.b =~ /x.*/", 4, "match(@.b, 'x.*')"),
        ("@.b =~ /^a\\/b/", 4, "match(@.b, 'a/b.*')"),
        ("@.b =~ 'x$'", 4, "match(@.b, '.*x')"),
        ("@.b matches \"^x$\"", 4, "match(@.b, \"x\")"),
        ("@.b !~ 'x' && @.c", 4, "!match(@.b, 'x') && @.c"),
        ("count(@.b[*])", 0, "count(@.b[*]) > 0"),
        ("@.c && length(@['(']) || @.d", 7, "@.c && length(@['(']) > 0 || @.d"),
    ];
    for (filter, position, wanted) in cases {
        let error = refusal(&format!("$.a[?{filter}].x"));
        assert_eq!(error.position, position + 5, "{filter}: {error}");
        assert_eq!(error.suggestion, Some(format!("$.a[?{wanted}].x")), "{filter}: {error}");
    }
    for (filter, words) in [
        ("@.b =~ /x/i", "`match(@.a, 'b.*')`"),
        ("@.b in @.c", "compared by itself"),
        ("(@.b) in ['x']", "compared by itself"),
        ("@.b contains 'x'", "`search(@.a, 'b')`"),
        ("value(@.b)", "`value(@.a) == 1`"),
    ] {
        let error = refusal(&format!("$.a[?{filter}]"));
        assert!(error.suggestion.is_none() && error.reason.contains(words), "{filter}: {error}");
    }
}

#[test]
fn mistakes_in_filters_are_refused_where_they_are() {
    let cases = [
        ("$.a[?@.b = 1]", 9, "`==` compares"),
        ("$.a[?@.b == 1 & @.c]", 14, "`&&` means and"),
        ("$.a[?@.b[*] == 1]", 12, "names one place"),
        ("$.a[?match(@.b, '[a]') == true]", 5, "no value to compare"),
        ("$.a[?true]", 9, "cannot be read"),
        ("$.a[?length(@.b)]", 5, "no test"),
        ("$.a[?@.x && length(@[*]) > 1]", 12, "takes one value"),
        ("$.a[?length(@.b == 1) > 1]", 16, ""),
        ("$.a[?count(1) > 1]", 5, ""),
        ("$.a[?@.x || count(length(@.a)) > 1]", 12, "takes a query"),
        ("$.a[?value('a') == 'a']", 5, "takes a query"),
        ("$.a[?@.x, ?match(@.b, @.c)]", 11, "quoted string"),
        ("$.a[?match(@.b, '[a')]", 5, "ends within a character class"),
        ("$.a[?search(@.b, '^a')]", 5, "use `matches`"),
        ("$.a[?match(@.b, '((((a{999}){999}){9})')]", 5, "the pattern"),
        ("$.a[?size(@.b) > 1]", 5, "`size` is no function"),
        ("$.a[?@.length() > 1]", 7, "`length` is no function"),
        ("$.a[?in(@.b, 'c')]", 5, "`in` is no function"),
        ("$.a[?count (@.b) > 1]", 10, "white space"),
        ("$.a[?@.b c == 1]", 8, "white space"),
        ("$.a[?@. b == 1]", 7, "white space"),
        ("$.a[?@..b]", 6, "`..` inside a filter"),
        ("$.a[?@.b == $object.kind]", 12, "the root `$object` inside a filter"),
        ("$.a[?$pod.metadata]", 5, "the root `$pod` inside a filter"),
        ("$[?@[?@[?@.a]]]", 8, "filters nest deeper than 2"),
        ("$.a[?@.b == 1e999]", 12, "out of range"),
        ("$.a[?(@.b]", 9, "`]` where `)` is wanted"),
        ("$..a..b", 4, "a second `..`"),
        ("$..['a'][0]..*", 11, "a second `..`"),
        ("$containers['image', 0]", 11, "has no members"),
        ("$appContainers.image", 14, "has no members"),
    ];
    for (text, position, words) in cases {
        let error = refusal(text);
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.reason.contains(words), "{text}: {error}");
    }
    assert_eq!(refusal("$.a[?Length(@.b) > 1]").suggestion.as_deref(), Some("$.a[?length(@.b) > 1]"));
}

#[test]
fn the_whole_language_has_one_normal_form() {
    let cases = [
        ("$..a", "$..a"),
        ("$..['a b']", "$..['a b']"),
        ("$.. [0]", ""),
        ("$..[0,1]", "$..[0, 1]"),
        ("$..*", "$..[*]"),
        ("$['a','b']", "$['a', 'b']"),
        ("$[1:2 , ::-1,:]", "$[1:2, ::-1, :]"),
        ("$[?@.a==1&&(@.b||!@.c)]", "$[?@.a == 1 && (@.b || !@.c)]"),
        ("$[?((@.a&&@.b)&&@.c)]", "$[?@.a && @.b && @.c]"),
        ("$[?!(@.a<1.50)]", "$[?!(@.a < 1.5)]"),
        (r#"$[?match(@ .a,"it's")]"#, r"$[?match(@.a, 'it\'s')]"),
        ("$[?count(@.*)>=length($['x'])]", "$[?count(@[*]) >= length($.x)]"),
        ("$[?value(@['a','b'])==null]", "$[?value(@['a', 'b']) == null]"),
        ("$[?@.a==9223372036854775807]", "$[?@.a == 9223372036854775807]"),
        ("$[?@.a!=-9223372036854775808,?@]", "$[?@.a != -9223372036854775808, ?@]"),
        ("$.a[?@.b[?@.c==1]]", "$.a[?@.b[?@.c == 1]]"),
        ("$appContainers[?@.name=='x'].image", "$appContainers[?@.name == 'x'].image"),
    ];
    for (text, wanted) in cases {
        match Path::parse(text) {
            Ok(path) => assert_eq!(path.to_string(), wanted, "{text}"),
            Err(error) => assert_eq!(wanted, "", "{text}: {error}"),
        }
    }
}

#[test]
fn a_control_character_in_a_quoted_name_is_refused() {
    for text in ["$['\0']", "$[\"\0\"]", "$['\u{1f}']"] {
        assert_eq!(refusal(text).position, 1, "{text:?}");
    }
}

#[test]
fn a_refusal_reads_as_a_sentence() {
    assert_eq!(
        refusal("$.a[b]").to_string(),
        "at character 3: a name in brackets is quoted; write `$.a['b']`"
    );
}

#[test]
fn length_and_segments_are_bounded() {
    assert!(Path::parse(&format!("${}", ".a".repeat(64))).is_ok());
    assert_eq!(refusal(&format!("${}", ".a".repeat(65))).position, 129);
    assert!(Path::parse(&format!("$.{}", "a".repeat(1022))).is_ok());
    assert_eq!(refusal(&format!("$.{}", "ä".repeat(1023))).position, 1024);
    assert!(Path::parse(&"$".repeat(10_000_000)).is_err());
}

/// Would not come to its end if anything were tried again at each level, or recurse through the stack.
#[test]
fn hostile_text_is_refused_without_deep_recursion_or_long_searches() {
    let repeated =
        ["[", "(", "[?", "[?(", "[?@", "[?length(", "[?@.a==length(", "[?!(", "['", "..", "{", "[?@[?count("];
    for part in repeated {
        for head in ["$", "$.a[?", "$.a[?length(@.a)&&"] {
            for times in [1, 2, 3, 5, 8, 500] {
                for tail in ["", "@.a", "@.a)", "@.a]]", "@.a)))]]]]]]"] {
                    let text: String =
                        format!("{head}{}{tail}", part.repeat(times)).chars().take(1024).collect();
                    assert!(Path::parse(&text).is_err(), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_path_knows_whether_it_names_one_place() {
    for (text, singular, tail) in [
        ("$.a[0].b", true, true),
        ("$.a[*].b", false, true),
        ("$.a[*]", false, false),
        ("$.a[?@.x].b", false, true),
        ("$.a[1:].b", false, true),
        ("$.a['x','y'].b", false, true),
        ("$..a", false, false),
        ("$..a.b", false, true),
        ("$containers", true, true),
    ] {
        let path = Path::parse(text).unwrap();
        assert_eq!((path.is_singular(), path.has_tail()), (singular, tail), "{text}");
    }
}
