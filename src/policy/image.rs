//! Image references, as Docker and Kubernetes read them (the grammar of github.com/distribution/reference).

use std::borrow::Cow;
use std::fmt;

/// The longest name, registry and repository together.
const NAME_LIMIT: usize = 255;
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// A reference in its parts. `nginx` is `docker.io`, `library/nginx`, tag `latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image<'t> {
    /// With its port, if it has one.
    pub(super) registry: &'t str,
    /// Without the registry.
    pub(super) repository: Cow<'t, str>,
    /// Absent with a digest and no tag.
    pub(super) tag: Option<&'t str>,
    /// With its algorithm: `sha256:...`.
    pub(super) digest: Option<&'t str>,
}

/// The reference in full.
impl fmt::Display for Image<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, tag, digest } = self;
        write!(f, "{registry}/{repository}")?;
        tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl<'t> Image<'t> {
    /// Reads a reference; nothing of what is none.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash is of a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let is_valid = tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        let (registry, path) = split_registry(name)?;
        if !is_valid || name.len() > NAME_LIMIT || !path.split('/').all(is_component) || is_identifier(name) {
            return None;
        }
        let is_official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if is_official { format!("library/{path}").into() } else { path.into() };
        Some(Self { registry, repository, tag: tag.or(digest.is_none().then_some(DEFAULT_TAG)), digest })
    }
}

/// The part before the first slash is a registry if it looks like a host; nothing if it looks like one and is none.
fn split_registry(name: &str) -> Option<(&str, &str)> {
    match name.split_once('/') {
        Some(("index.docker.io", path)) => Some((DEFAULT_REGISTRY, path)),
        Some((host, path)) if is_like_host(host) => is_host(host).then_some((host, path)),
        _ => Some((DEFAULT_REGISTRY, name)),
    }
}

fn is_like_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':']) || text.contains(char::is_uppercase)
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    let is_label = |label: &str| {
        let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_port && is_name
}

/// Lower-case letters and digits, in groups parted by one point, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_parted = |gap: &str| matches!(gap, "." | "_" | "__") || gap.bytes().all(|c| c == b'-');
    text.starts_with(is_letter) && text.ends_with(is_letter) && text.split(is_letter).all(is_parted)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().all(|c| is_word(c) || matches!(c, b'.' | b'-'))
        && text.bytes().next().is_some_and(is_word)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hash)) = text.split_once(':') else { return false };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    let is_long_enough = match algorithm {
        "sha256" => hash.len() == 64,
        "sha384" => hash.len() == 96,
        "sha512" => hash.len() == 128,
        _ => hash.len() >= 32,
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && is_long_enough
        && hash.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// A bare hash is an image's id, not a name.
fn is_identifier(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_have_the_parts_that_docker_and_kubernetes_see() {
        let digest = format!("sha256:{HASH}");
        let pinned = format!("nginx@{digest}");
        let both = format!("ghcr.io/a/b/c:v1@{digest}");
        for (text, registry, repository, tag, hash) in [
            ("nginx", "docker.io", "library/nginx", Some("latest"), None),
            ("nginx:1.25", "docker.io", "library/nginx", Some("1.25"), None),
            ("bitnami/redis", "docker.io", "bitnami/redis", Some("latest"), None),
            ("docker.io/nginx", "docker.io", "library/nginx", Some("latest"), None),
            ("index.docker.io/nginx", "docker.io", "library/nginx", Some("latest"), None),
            ("localhost/a", "localhost", "a", Some("latest"), None),
            ("localhost:5000/a:b", "localhost:5000", "a", Some("b"), None),
            ("registry:5000/a/b", "registry:5000", "a/b", Some("latest"), None),
            ("[::1]:5000/a", "[::1]:5000", "a", Some("latest"), None),
            ("Host/a", "Host", "a", Some("latest"), None),
            ("a__b/c-----d.e", "docker.io", "a__b/c-----d.e", Some("latest"), None),
            (&pinned, "docker.io", "library/nginx", None, Some(&*digest)),
            (&both, "ghcr.io", "a/b/c", Some("v1"), Some(&*digest)),
        ] {
            let repository = repository.into();
            assert_eq!(Image::parse(text), Some(Image { registry, repository, tag, digest: hash }), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_not_read() {
        let long = format!("{}/b", "a".repeat(255));
        let too_long_tag = format!("a:{}", "b".repeat(129));
        for text in [
            "",
            ":",
            "a:",
            "a@",
            "a:b:c",
            "A",
            "a/B",
            "/a",
            "a/",
            "a//b",
            "-a",
            "a-",
            "a_-b",
            "a___b",
            "a..b",
            "a b",
            "a@sha256:abc",
            "a@sha256",
            "bad_host.io/a",
            "-x.io/a",
            "x.io:port/a",
            "x.io/",
            "a:-b",
            HASH,
            &long,
            &too_long_tag,
            "${IMAGE}",
            "https://x.io/a",
        ] {
            assert_eq!(Image::parse(text), None, "{text}");
        }
    }
}
