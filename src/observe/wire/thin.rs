//! Leaves arrays out of JSON while it comes, so that what nobody reads takes no room.

use bytes::{Bytes, BytesMut};

/// Empties the arrays that are the values of members with certain names, wherever they are. A name that is written with
/// escapes is not recognised.
pub(super) struct Thin {
    names: &'static [&'static str],
    /// Inside a string, and just behind a backslash in it.
    text: bool,
    escaped: bool,
    /// The string that was read last, as far as it may be one of the names.
    last: Vec<u8>,
    /// What stands here is the value of one of the names.
    named: bool,
    /// Arrays that are open and left out, one in another.
    left_out: usize,
}

impl Thin {
    pub(super) fn new(names: &'static [&'static str]) -> Self {
        Self { names, text: false, escaped: false, last: Vec::new(), named: false, left_out: 0 }
    }

    /// What is left of a piece; pieces may be cut anywhere.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Bytes {
        let mut kept = BytesMut::new();
        // Where the stretch began that is to be kept, if one is under way.
        let mut from = (self.left_out == 0).then_some(0);
        for (at, byte) in piece.iter().enumerate() {
            let before = self.left_out;
            self.step(*byte);
            match (before, self.left_out) {
                (0, 1) => {
                    kept.extend_from_slice(piece.get(from.take().unwrap_or(at)..=at).unwrap_or_default());
                }
                (1, 0) => from = Some(at),
                _ => {}
            }
        }
        kept.extend_from_slice(from.and_then(|from| piece.get(from..)).unwrap_or_default());
        kept.freeze()
    }

    fn step(&mut self, byte: u8) {
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.text = false,
                _ => {}
            }
            let longest = self.names.iter().map(|name| name.len()).max().unwrap_or_default();
            if self.text && self.last.len() <= longest {
                self.last.push(byte);
            }
            return;
        }
        match byte {
            b'"' => {
                self.text = true;
                self.last.clear();
            }
            b'[' if self.left_out > 0 || self.named => self.left_out += 1,
            b']' if self.left_out > 0 => self.left_out -= 1,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.named = byte == b':' && self.names.iter().any(|name| name.as_bytes() == self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left, however the text is cut in two.
    fn thin(text: &str) -> String {
        let cut = |at: usize| {
            let mut thin = Thin::new(&["shortNames", "categories"]);
            let (one, two) = text.as_bytes().split_at(at);
            let kept = [thin.pass(one), thin.pass(two)].concat();
            String::from_utf8(kept).unwrap()
        };
        let first = cut(0);
        for at in 1..=text.len() {
            assert_eq!(cut(at), first, "cut at {at}");
        }
        first
    }

    #[test]
    fn arrays_of_these_names_are_empty_and_all_else_stays() {
        for (text, left) in [
            (r#"{"a":1,"shortNames":["x","y"],"b":[1]}"#, r#"{"a":1,"shortNames":[],"b":[1]}"#),
            (r#"{"shortNames" : [ ["]"], "\"]", {"a":[1]} ] ,"b":2}"#, r#"{"shortNames" : [] ,"b":2}"#),
            (r#"[{"categories":["all"]},{"categories":[]}]"#, r#"[{"categories":[]},{"categories":[]}]"#),
            (r#"{"shortNames":null,"b":["x"]}"#, r#"{"shortNames":null,"b":["x"]}"#),
            (r#"{"b":"shortNames","c":["x"]}"#, r#"{"b":"shortNames","c":["x"]}"#),
            (r#"{"b":["shortNames",["x"]]}"#, r#"{"b":["shortNames",["x"]]}"#),
            (r#"{"shortNames2":["x"],"xshortNames":["x"]}"#, r#"{"shortNames2":["x"],"xshortNames":["x"]}"#),
            (r#"{"b":"\"shortNames\":[1]"}"#, r#"{"b":"\"shortNames\":[1]"}"#),
        ] {
            assert_eq!(thin(text), left);
        }
    }
}
