//! The resourceVersion of a raw object, without reading the rest of it: watch events are many and large.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Where the version is.
const PLACE: [&str; 2] = ["metadata", "resourceVersion"];

/// The version of an object that is JSON as a whole. What stands behind the version is not read: in what the API server
/// writes that is nearly all.
pub(super) fn version_of(object: &str) -> Option<String> {
    let mut found = None;
    let sought = Member { place: &PLACE, found: &mut found };
    // That reading ended early is an error to serde and none to us.
    drop(sought.deserialize(&mut serde_json::Deserializer::from_str(object)));
    // Some aggregated servers give an empty one: a watch from there would begin now, and pass over what was before.
    found.filter(|version| !version.is_empty())
}

/// Looks for a string at a place below a value.
struct Member<'f> {
    place: &'static [&'static str],
    found: &'f mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        if self.place.is_empty() { value.deserialize_str(self) } else { value.deserialize_map(self) }
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object of the API")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        *self.found = Some(text.to_owned());
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { place, found } = self;
        while let Some(name) = members.next_key::<String>()? {
            match place {
                [first, rest @ ..] if *first == name => {
                    members.next_value_seed(Member { place: rest, found })?;
                    if found.is_some() {
                        return Err(Error::custom("the rest is not needed"));
                    }
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_wherever_metadata_has_it() {
        for object in [
            r#"{"metadata":{"resourceVersion":"12"}}"#,
            r#"{"kind":"Pod","metadata":{"name":"a","labels":{"resourceVersion":"7"},"resourceVersion":"12"},"spec":{}}"#,
            r#"{"spec":{"metadata":{"resourceVersion":"7"}},"metadata":{"managedFields":[{}],"resourceVersion":"12"}}"#,
            r#"{"met\u0061data":{"resourceVersion":"\u0031\u0032"}}"#,
        ] {
            assert_eq!(version_of(object).as_deref(), Some("12"), "{object}");
        }
    }

    #[test]
    fn where_there_is_none_none_is_found() {
        for object in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"metadata":null}"#,
            r#"{"metadata":{"resourceVersion":12}}"#,
            r#"{"metadata":{"resourceVersion":""}}"#,
            r#"{"metadata":{"name":"a"},"resourceVersion":"7"}"#,
        ] {
            assert_eq!(version_of(object), None, "{object}");
        }
    }
}
