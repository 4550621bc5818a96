//! What the API server does not take of a change, in words that repeat no value: it may be a secret one.
//!
//! A cause of its answer has a reason, a field and a message. The message begins with the kind of fault, mostly goes on
//! with the value itself, in quotation marks or as JSON, and ends with what is wrong with it. Of this end, what speaks of the
//! form of values and of nothing else is shown.

use kube::core::response::StatusCause;
use serde::de::IgnoredAny;

/// The field that stands for the whole object, where the server cannot decode it after the change.
const OBJECT: &str = "patch";
/// What the server says of a field that is set once and for all.
const IMMUTABLE: &str = "field is immutable";
/// How schemas of custom kinds begin to say what a value should be, after the field.
const IN_BODY: &str = " in body should ";
/// How what a definition demands by a rule of its own is said, where it has no words of its own.
const RULE: &str = "failed rule: ";
/// How the server's own validation begins to say what form values have.
const FORMS: [&str; 8] = [
    "a DNS-",
    "a lowercase RFC ",
    "a qualified name must ",
    "a valid ",
    "must be between ",
    "must be greater than or equal to 0",
    "must be no more than ",
    "must be non-empty",
];

/// The field of what the server did not check, since something else is wrong.
const UNCHECKED: &str = "<nil>";

/// More than anybody reads, and far fewer than an answer can hold.
const MOST_CAUSES: usize = 16;

/// What is wrong with which fields.
pub(super) fn told(causes: &[StatusCause]) -> String {
    let mut told: Vec<String> = Vec::new();
    let checked = causes.iter().filter(|cause| cause.field != UNCHECKED || causes.len() == 1);
    for cause in checked.take(MOST_CAUSES) {
        let words = of_field(cause);
        if !told.contains(&words) {
            told.push(words);
        }
    }
    told.join("; ")
}

fn of_field(StatusCause { reason, field, message }: &StatusCause) -> String {
    let line = message.lines().next().unwrap_or_default();
    match (reason.as_str(), detail(line)) {
        ("FieldValueInvalid", detail) if field == OBJECT => undecodable(detail),
        (reason, detail) => format!("{field}: {}", words(reason, line, detail)),
    }
}

/// `detail` is what follows the value in the server's line, where that is certain.
fn words(reason: &str, line: &str, detail: &str) -> String {
    match reason {
        "FieldValueRequired" => with("a value is required", without_value(line)),
        "FieldValueForbidden" => with("it cannot be set or changed like this", without_value(line)),
        "FieldValueTooLong" => with("the value is too long", without_value(line)),
        "FieldValueTooShort" => with("the value is too short", detail),
        "FieldValueTooMany" => with("it would hold too many", detail),
        "FieldValueTooFew" => with("it would hold too few", detail),
        "FieldValueDuplicate" => "another element has the same value, and it must be unique".to_owned(),
        "FieldValueNotFound" => "what the value names does not exist".to_owned(),
        "FieldValueNotSupported" => match detail.strip_prefix("supported values: ") {
            Some(values) => format!("the field can only be one of {values}"),
            None => "the field cannot have this value".to_owned(),
        },
        "FieldValueTypeInvalid" => mistyped(detail.rsplit_once(" must be of type ").map(|(_, kind)| kind)),
        "FieldValueInvalid" => invalid(detail),
        other => format!("the server gives the reason {other}"),
    }
}

fn invalid(detail: &str) -> String {
    if detail == IMMUTABLE {
        "the field cannot be changed once the object is there".to_owned()
    } else if let Some((_, form)) = detail.rsplit_once(IN_BODY) {
        format!("the value should {form}")
    } else if let Some(rule) = detail.strip_prefix(RULE) {
        format!("the value breaks a rule of the kind's definition: {rule}")
    } else if FORMS.iter().any(|form| detail.starts_with(form)) {
        // What follows in brackets is examples, and the form once more as an expression.
        with("the field does not take the value", detail.split(" (").next().unwrap_or(detail))
    } else {
        "the field does not take the value; `kubectl edit` with the same change shows why".to_owned()
    }
}

/// The changed object cannot be decoded. Go says what it met, where, and what it wanted.
fn undecodable(detail: &str) -> String {
    let met = detail.split_once("cannot unmarshal ").map_or("", |(_, met)| met);
    let wanted = met.rsplit_once(" of type ").map(|(_, kind)| kind);
    let place = met.split_once(" into Go struct field ").and_then(|(_, place)| place.split(' ').next());
    // Before the first point stands the name of a type in the server's code.
    let place = place.and_then(|place| place.split_once('.')).map_or("", |(_, place)| place);
    let is_bare = ["number", "bool"].iter().any(|kind| met.starts_with(kind));
    let quote = if is_bare && wanted == Some("string") { "; quote it" } else { "" };
    let words = if detail.contains("quantities must match") {
        "a quantity is wanted, such as 500m or 1Gi".to_owned()
    } else if detail.contains("parsing time ") {
        "a time is wanted, such as 2030-01-31T12:00:00Z".to_owned()
    } else {
        format!("{}{quote}", mistyped(wanted))
    };
    if place.is_empty() { words } else { format!("{place}: {words}") }
}

/// The value is of the wrong type; of the server's name for the right one, what is known is shown.
fn mistyped(wanted: Option<&str>) -> String {
    let wanted = wanted.unwrap_or_default().trim_start_matches('*');
    let wanted = wanted.split(|end: char| !(end.is_alphanumeric() || "[].".contains(end))).next();
    let wanted = match wanted.unwrap_or_default() {
        "" => return "the value has the wrong type for the field".to_owned(),
        "string" => "a string",
        "bool" | "boolean" => "a boolean",
        "number" | "float32" | "float64" => "a number",
        kind if kind.starts_with("int") || kind.starts_with("uint") => "an integer",
        kind if kind == "array" || kind.starts_with("[]") => "an array",
        _ => "an object",
    };
    format!("the value has the wrong type, the field wants {wanted}")
}

fn with(words: &str, detail: &str) -> String {
    if detail.is_empty() { words.to_owned() } else { format!("{words}: {detail}") }
}

/// What follows the kind of fault, in a line that never has the value.
fn without_value(line: &str) -> &str {
    line.split_once(": ").map_or("", |(_, detail)| detail)
}

/// What is wrong with the value, where it is certain that it is not the value itself.
fn detail(line: &str) -> &str {
    // Of a value that is a whole object some causes have nothing.
    match without_value(line) {
        rest if rest == IMMUTABLE || rest.starts_with(RULE) => rest,
        _ => after_value(line).unwrap_or_default(),
    }
}

/// What follows the value; nothing where it cannot be told where the value ends.
fn after_value(line: &str) -> Option<&str> {
    let (_, value) = line.split_once(": ")?;
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    value.get(values.byte_offset()..)?.strip_prefix(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(reason: &str, field: &str, message: &str) -> String {
        told(&[StatusCause { reason: reason.into(), field: field.into(), message: message.into() }])
    }

    /// The end of a reason, the server's message, and what is told of it.
    const CASES: &str = r#"
Required    | Required value | a value is required
Required    | Required value: name or labels | a value is required: name or labels
Forbidden   | Forbidden: not beside hostIP | it cannot be set or changed like this: not beside hostIP
TooLong     | Too long: may not be more than 5 bytes | the value is too long: may not be more than 5 bytes
TooShort    | Too short: "hunter2": must be at least 9 characters | the value is too short: must be at least 9 characters
TooMany     | Too many: 5: must have at most 3 items | it would hold too many: must have at most 3 items
TooFew      | Too few: 0: must have at least 1 item | it would hold too few: must have at least 1 item
Duplicate   | Duplicate value: "hunter2" | another element has the same value, and it must be unique
NotFound    | Not found: "hunter2" | what the value names does not exist
NotSupported| Unsupported value: "hunter2": supported values: "a", "b" | the field can only be one of "a", "b"
NotSupported| Unsupported value: "hunter2" | the field cannot have this value
TypeInvalid | Invalid value: "string": x in body must be of type integer: "string" | the value has the wrong type, the field wants an integer
Invalid     | Invalid value: "hunter2": field is immutable | the field cannot be changed once the object is there
Invalid     | Invalid value: {"a":"hunter2"}: field is immutable | the field cannot be changed once the object is there
Invalid     | Invalid value: 0: x in body should be greater than or equal to 1 | the value should be greater than or equal to 1
Invalid     | Invalid value: "object": failed rule: self.a <= self.b | the value breaks a rule of the kind's definition: self.a <= self.b
Invalid     | Invalid value: failed rule: self.a < 9 | the value breaks a rule of the kind's definition: self.a < 9
Invalid     | Invalid value: 0: must be between 1 and 9, inclusive | the field does not take the value: must be between 1 and 9, inclusive
"#;

    #[test]
    fn each_cause_says_what_the_field_wants() {
        for case in CASES.trim().lines() {
            let [reason, message, words] = case.split('|').collect::<Vec<_>>().try_into().unwrap();
            let told = cause(&format!("FieldValue{}", reason.trim()), "spec.x", message.trim());
            assert_eq!(told, format!("spec.x: {}", words.trim()), "{case}");
        }
        let lines = "Forbidden: but for x\n{hunter2}";
        assert_eq!(
            cause("FieldValueForbidden", "x", lines),
            "x: it cannot be set or changed like this: but for x"
        );
    }

    #[test]
    fn the_form_of_a_name_is_told_without_its_expression() {
        let form = "a valid label must consist of letters (e.g. 'a', regex used for validation is 'x')";
        let message = format!("Invalid value: \"a b\": {form}");
        let told = cause("FieldValueInvalid", "metadata.labels", &message);
        assert_eq!(
            told,
            "metadata.labels: the field does not take the value: a valid label must consist of letters"
        );
    }

    #[test]
    fn what_was_not_checked_and_what_is_told_already_is_left_out() {
        let cause = |field: &str| StatusCause {
            reason: "FieldValueRequired".into(),
            field: field.into(),
            message: "Required value".into(),
        };
        let all = [cause("a"), cause("<nil>"), cause("b"), cause("a")];
        assert_eq!(told(&all), "a: a value is required; b: a value is required");
        assert_eq!(told(&all[1..2]), "<nil>: a value is required");
    }

    #[test]
    fn words_that_may_repeat_a_value_are_left_out() {
        let hidden =
            "spec.x: the field does not take the value; `kubectl edit` with the same change shows why";
        for message in [
            "Invalid value: \"hunter2\"",
            "Invalid value: \"hunter2\": the password hunter2 is too weak",
            "Invalid value: \"a: hunter2 in body should b\\\"\": no",
            "Invalid value: \"\\x01 in body should hunter2\": field is immutable",
            "Invalid value: main.Secret{hunter2: failed rule: 1}: field is immutable",
        ] {
            assert_eq!(cause("FieldValueInvalid", "spec.x", message), hidden, "{message}");
        }
        let unsupported = "Unsupported value: \"supported values: hunter2";
        assert_eq!(cause("FieldValueNotSupported", "x", unsupported), "x: the field cannot have this value");
    }

    #[test]
    fn an_object_that_cannot_be_decoded_says_where_and_what_was_wanted() {
        let object = r#"Invalid value: "{\"spec\":{\"x\":\"json: cannot unmarshal hunter2\"}}": "#;
        for (detail, words) in [
            (
                "json: cannot unmarshal number into Go struct field Pod.metadata.labels of type string",
                "metadata.labels: the value has the wrong type, the field wants a string; quote it",
            ),
            (
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
                "spec.replicas: the value has the wrong type, the field wants an integer",
            ),
            (
                "json: cannot unmarshal array into Go struct field A.spec of type v1.PodSpec",
                "spec: the value has the wrong type, the field wants an object",
            ),
            (
                "json: cannot unmarshal string into Go struct field A.spec.ports of type []v1.ServicePort",
                "spec.ports: the value has the wrong type, the field wants an array",
            ),
            (
                "quantities must match the regular expression '^x$'",
                "a quantity is wanted, such as 500m or 1Gi",
            ),
            ("parsing time \"hunter2\" as \"2006\"", "a time is wanted, such as 2030-01-31T12:00:00Z"),
            ("what hunter2 is", "the value has the wrong type for the field"),
        ] {
            assert_eq!(cause("FieldValueInvalid", "patch", &format!("{object}{detail}")), words);
        }
    }
}
