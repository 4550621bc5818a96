//! What is in a page of a list, and in a line of a watch: items as raw text.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::Error as _;

use super::intake::Share;
use super::{WireError, cut, refusal};
use crate::jsonpath::Scanner;
use crate::metrics::EventType;

/// One page of a LIST, still raw.
pub struct Page {
    pub(super) body: Bytes,
    pub(super) _room: Share,
}

/// A page, taken apart.
struct RawPage<'a> {
    kind: Cow<'a, str>,
    metadata: PageMetadata,
    items: Vec<&'a str>,
}

impl<'a> RawPage<'a> {
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let (mut kind, mut metadata, mut items) = (None, None, None);
        let mut scanner = Scanner::new(text);
        scanner.object(|scanner, name| {
            match &*name.bytes()? {
                b"kind" => kind = scanner.text()?,
                b"metadata" => metadata = Some(serde_json::from_str(scanner.value()?)?),
                b"items" => items = Some(elements(scanner)?),
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.end()?;
        // An answer without items is no list, and must not be taken for an empty one.
        let missing = serde_json::Error::missing_field;
        Ok(Self {
            kind: kind.ok_or_else(|| missing("kind"))?,
            metadata: metadata.ok_or_else(|| missing("metadata"))?,
            items: items.ok_or_else(|| missing("items"))?,
        })
    }
}

/// The elements of an array; none of `null`, which is how Go writes an empty list.
fn elements<'a>(scanner: &mut Scanner<'a>) -> Result<Vec<&'a str>, serde_json::Error> {
    let mut elements = Vec::new();
    if scanner.peek() == Some(b'[') {
        scanner.array(|scanner| {
            elements.push(scanner.value()?);
            Ok(())
        })?;
    } else {
        serde_json::from_str::<()>(scanner.value()?)?;
    }
    Ok(elements)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(default, rename = "continue")]
    continue_token: Option<String>,
}

/// What a page says besides its items.
#[derive(Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// The version that the list shows; where a watch goes on.
    pub version: String,
    /// The token for the next page, if there is one.
    pub next: Option<String>,
}

impl Page {
    /// Hands over the items one by one, as raw text.
    ///
    /// # Errors
    /// [`WireError::Unintelligible`] when the page is no list at all; a bad item is the taker's to notice.
    pub fn each(&self, mut take: impl FnMut(&str)) -> Result<PageEnd, WireError> {
        let page = RawPage::read(text(&self.body)?).map_err(unintelligible)?;
        // Whoever defines a kind says what a list of it is called.
        if page.kind == "Status" || page.metadata.resource_version.is_empty() {
            return Err(WireError::Unintelligible(format!("it is no list, but {:?}", cut(&page.kind, 64))));
        }
        page.items.into_iter().for_each(&mut take);
        let next = page.metadata.continue_token.filter(|token| !token.is_empty());
        Ok(PageEnd { version: page.metadata.resource_version, next })
    }
}

/// A watch event whose object is still raw.
pub struct Event<'a> {
    /// What happened.
    pub kind: EventType,
    /// The object.
    pub object: &'a str,
}

impl<'a> Event<'a> {
    /// Reads a line of a watch.
    ///
    /// # Errors
    /// [`WireError::Refused`] for an ERROR event; [`WireError::Unintelligible`] for anything unknown.
    pub fn parse(line: &'a [u8]) -> Result<Self, WireError> {
        let (mut kind, mut object) = (None, None);
        let mut scanner = Scanner::new(text(line)?);
        let event = scanner.object(|scanner, name| {
            match &*name.bytes()? {
                b"type" => kind = scanner.text()?,
                b"object" => object = Some(scanner.value()?),
                _ => drop(scanner.value()?),
            }
            Ok(())
        });
        event.and_then(|()| scanner.end()).map_err(unintelligible)?;
        let missing = || WireError::Unintelligible("an event without its type or its object".to_owned());
        let (kind, object) = (kind.ok_or_else(missing)?, object.ok_or_else(missing)?);
        let kind = match &*kind {
            "ADDED" => EventType::Added,
            "MODIFIED" => EventType::Modified,
            "DELETED" => EventType::Deleted,
            "BOOKMARK" => EventType::Bookmark,
            "ERROR" => return Err(refusal(None, object.as_bytes(), None)),
            other => return Err(WireError::Unintelligible(format!("event type {}", cut(other, 40)))),
        };
        Ok(Self { kind, object })
    }

    /// Whether it is the bookmark behind the objects that were there when a [`Wire::watch_list`](super::Wire::watch_list) began.
    pub fn ends_list(&self) -> bool {
        self.kind == EventType::Bookmark && self.object.contains(r#""k8s.io/initial-events-end":"true""#)
    }
}

fn text(body: &[u8]) -> Result<&str, WireError> {
    str::from_utf8(body).map_err(|error| WireError::Unintelligible(error.to_string()))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unintelligible(error: serde_json::Error) -> WireError {
    WireError::Unintelligible(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: impl Into<Bytes>) -> Page {
        Page { body: body.into(), _room: None }
    }

    #[test]
    fn a_bad_item_hides_no_other_in_its_page() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let body = format!(
            r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7","continue":"t"}},"items":[{{"a":1}},{{"a":1e400}},{{"a":"\ud800"}},{{"a":{deep}}},{{"a":2}}]}}"#
        );
        let mut items = Vec::new();
        let end = page(body).each(|raw| items.push(raw.to_owned())).unwrap();
        assert_eq!(end, PageEnd { version: "7".into(), next: Some("t".into()) });
        assert_eq!(items.len(), 5);
        assert_eq!(items[4], r#"{"a":2}"#);
    }

    #[test]
    fn an_empty_continue_token_ends_the_list() {
        let page =
            page(r#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":""},"items":null}"#);
        assert_eq!(page.each(|_| ()).unwrap().next, None);
    }

    #[test]
    fn a_list_may_have_any_name_that_a_definition_gives_it() {
        let body = r#"{"kind":"Odds","metadata":{"resourceVersion":"7"},"items":[{}]}"#;
        assert!(page(body).each(|_| ()).is_ok());
    }

    #[test]
    fn what_is_no_list_is_not_taken_for_an_empty_one() {
        for body in [
            r#"{"metadata":{}}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":"7"}}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":""},"items":[]}"#,
            r#"{"kind":"Status","metadata":{"resourceVersion":"7"},"items":[],"code":500}"#,
            r#"{"kind":"Pod","metadata":{"resourceVersion":"7"}}"#,
        ] {
            let page = page(body);
            assert!(matches!(page.each(|_| ()), Err(WireError::Unintelligible(_))), "{body}");
        }
    }

    #[test]
    fn an_error_event_is_the_refusal_it_carries() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        let error = Event::parse(line).err().unwrap();
        assert!(error.is_expired(), "{error}");
    }

    #[test]
    fn an_event_gives_its_object_raw() {
        let event =
            Event::parse(br#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"12"}}}"#).unwrap();
        assert_eq!(event.kind, EventType::Modified);
        assert_eq!(event.object, r#"{"metadata":{"resourceVersion":"12"}}"#);
    }
}
